"""What the quick look accepts, reading it accepts too; and it takes nearly all there is."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.ledger.entry import Entry, decode
from domain.ledger.errors import LedgerError
from domain.ledger.schemas import SCHEMAS, check
from domain.ledger.spelling import spelled
from tests.support import NOON

H = "0123456789abcdef" * 4
SHOWN = {
    "purpose": "marketing",
    "purpose_version": 12,
    "presentation": H,
    "surface": "register",
    "locale": "nb",
    "served_at": "2026-11-22T11:59:00.120Z",
}
UNTIL = "2028-02-29T23:59:59.999Z"
REQUEST = {"kind": "access", "reference": "K7Q-2MX9"}
DATA: dict[str, dict[str, Any]] = {
    "consent.given": {**SHOWN, "expires_at": UNTIL},
    "consent.renewed": {**SHOWN, "expires_at": UNTIL},
    "consent.refused": SHOWN,
    "consent.withdrawn": SHOWN,
    "consent.expired": {"purpose": "marketing", "purpose_version": 1},
    "consent.invalidated": {"purpose": "a_b", "purpose_version": 9999, "reason": "under_age"},
    "account.opened": {"terms": "2026-11-22", "locale": "en", "declared_age": 15},
    "request.received": {**REQUEST, "due_on": "2026-12-22", "channel": "link"},
    "request.verified": {**REQUEST, "channel": "account"},
    "request.fulfilled": REQUEST,
    "request.refused": {**REQUEST, "reason": "unverified"},
    "request.extended": {**REQUEST, "due_on": "2027-02-22", "reason": "complexity"},
    "request.cancelled": REQUEST,
    "restriction.placed": {},
    "restriction.lifted": {},
    "objection.made": {"purpose": "marketing"},
    "hold.extended": {"review_on": "2027-11-22"},
    "hold.released": {},
    "subscription.started": {"started_on": "2026-11-22"},
    "subscription.ended": {"ended_on": "2026-11-22"},
    "account.imported": {"locale": "nn", "declared_age": 13},
    "vault.rotated": {"epoch": 2},
    "vault.epoch_retired": {"epoch": 1},
    "log.padded": {},
}
ID = "f" * 32


def entry(type: str) -> bytes:
    return Entry(id=ID, at=NOON, type=type, tag=H, data=DATA[type]).encode()


def read(content: bytes) -> str | None:
    """The id of an entry, read the long way."""
    try:
        found = decode(content)
        check(found.type, found.data)
    except LedgerError:
        return None
    return found.id


def test_what_people_decide_and_ask_is_read_quickly() -> None:
    """The types that there are many of: the others are read the long way."""
    for type in DATA:
        assert spelled(entry(type)) == read(entry(type)) == ID
    slow = {"notice.published", "erasure.executed", "key.rotated", "key.retired", "log.recovered"}
    slow |= {"hold.placed", "staff.viewed", "retention.executed"}
    slow |= {"campaign.started", "campaign.finished", "visitor.linked"}
    assert set(SCHEMAS) - set(DATA) <= slow


WRONG = [
    (b"2026-11-22T12", b"2026-02-30T12"),
    (b"2026-11-22T12", b"0000-11-22T12"),
    (b"2026-11-22T12", b"2026-11-22T24"),
    (b"T12:00:00", b"T12:00:60"),
    (b".000Z", b".0000Z"),
    (b'"purpose_version":12', b'"purpose_version":012'),
    (b'"purpose_version":12', b'"purpose_version":12345'),
    (b'"purpose_version":12', b'"purpose_version":0'),
    (b'"purpose_version":12', b'"purpose_version":12.0'),
    (b'"purpose_version":12', b'"purpose_version":"12"'),
    (b"marketing", b"Marketing"),
    (b"marketing", b"market\\u0069ng"),
    (b"marketing", b""),
    (H[:8].encode(), b"0123456G"),
    (H[:8].encode(), b"0123456\n"),
    (b'"v":1}', b'"v":1} '),
    (b'"v":1}', b'"v":2}'),
    (b'{"at"', b' {"at"'),
    (b'"locale":"nb",', b'"locale":"nb", '),
    (b'"locale":"nb"', b'"locale":"de"'),
    (b'"locale":"nb",', b""),
    (b"consent.given", b"consent-given"),
    (b"consent.given", b"consent.renewe"),
    (b"consent.given", b"consent.refused"),
]


@pytest.mark.parametrize(("right", "wrong"), WRONG)
def test_what_is_spelled_otherwise_is_not_accepted(right: bytes, wrong: bytes) -> None:
    """Each of these is refused the long way as well."""
    content = entry("consent.given").replace(right, wrong)
    assert content != entry("consent.given")
    assert spelled(content) is read(content) is None


@given(
    type=st.sampled_from(sorted(DATA)),
    at=st.integers(0, 500),
    cut=st.integers(0, 3),
    put=st.binary(max_size=3) | st.sampled_from([b'"', b"0", b"}", b"\xc3\xa5", b"-", b"9"]),
)
def test_what_is_accepted_would_be_read(type: str, at: int, cut: int, put: bytes) -> None:
    """Some bytes of an entry are replaced by others, anywhere."""
    content = entry(type)
    at %= len(content)
    changed = content[:at] + put + content[at + cut :]
    if (found := spelled(changed)) is not None:
        assert found == read(changed)


@given(
    day=st.from_regex(rb"[0-9]{4}-[01][0-9]-[0-3][0-9]", fullmatch=True),
    clock=st.from_regex(rb"[0-2][0-9]:[0-6][0-9]:[0-6][0-9]\.[0-9]{3}", fullmatch=True),
    name=st.from_regex(rb"[a-z_]{0,42}", fullmatch=True),
    version=st.from_regex(rb"-?[0-9]{0,5}", fullmatch=True),
)
def test_values_are_accepted_as_their_schema_has_them(
    day: bytes, clock: bytes, name: bytes, version: bytes
) -> None:
    """At the edges of what a pattern admits."""
    content = (
        entry("consent.given")
        .replace(b"2028-02-29T23:59:59.999", day + b"T" + clock)
        .replace(b"marketing", name)
        .replace(b":12,", b":" + version + b",")
    )
    assert spelled(content) == read(content)
