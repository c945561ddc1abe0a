"""Every type of entry has a closed schema, and none has a place for free text."""

from __future__ import annotations

from typing import Any

import pytest

from domain.ledger.errors import SchemaError
from domain.ledger.notes import KeyType, SignerKey
from domain.ledger.schemas import SCHEMAS, check

HASH = "0f" * 32
TIME = "2026-11-22T12:00:00.000Z"
PURPOSE = {"purpose": "marketing", "purpose_version": 1}
SHOWN = {
    **PURPOSE,
    "presentation": HASH,
    "surface": "register",
    "locale": "nn",
    "served_at": TIME,
}
LOG_KEY = str(SignerKey("samtykke.test/consent", KeyType.LOG, bytes(32)).verifier)
WITNESS_KEY = str(SignerKey("samtykke.test/consent", KeyType.WITNESS, bytes(32)).verifier)
PERSON_KEY = str(SignerKey("kari@example.com", KeyType.LOG, bytes(32)).verifier)
REQUEST = {"kind": "access", "reference": "K7Q-2MX9"}
GOOD: dict[str, dict[str, Any]] = {
    "notice.published": {
        "kind": "privacy",
        "effective_on": "2018-05-07",
        "hashes": {"nb": HASH, "en": HASH},
    },
    "consent.given": {**SHOWN, "expires_at": TIME},
    "consent.refused": SHOWN,
    "consent.renewed": {**SHOWN, "expires_at": TIME},
    "consent.withdrawn": SHOWN,
    "consent.expired": PURPOSE,
    "consent.invalidated": {**PURPOSE, "reason": "under_age"},
    "account.opened": {"terms": "2026-11-01", "locale": "nb", "declared_age": 15},
    "request.received": {**REQUEST, "due_on": "2027-02-28", "channel": "link"},
    "request.verified": {**REQUEST, "channel": "account"},
    "request.fulfilled": REQUEST,
    "request.refused": {**REQUEST, "reason": "unverified"},
    "erasure.executed": {"cause": "request", "holdings": ["account", "entries"]},
    "request.extended": {**REQUEST, "due_on": "2027-04-28", "reason": "complexity"},
    "request.cancelled": REQUEST,
    "restriction.placed": {},
    "restriction.lifted": {},
    "objection.made": {"purpose": "marketing"},
    "hold.placed": {"ground": "legal_claim", "holdings": ["account"], "review_on": "2027-11-22"},
    "hold.extended": {"review_on": "2028-11-22"},
    "hold.released": {},
    "subscription.started": {"started_on": "2026-11-22"},
    "subscription.ended": {"ended_on": "2026-12-31"},
    "account.imported": {"locale": "nn", "declared_age": 13},
    "staff.viewed": {"holdings": ["case_texts"], "purpose": "answering"},
    "visitor.linked": {"purpose": "analytics", "entry": "0" * 32},
    "campaign.started": {
        "campaign": "0" * 32,
        "purpose": "marketing",
        "hashes": {"nb": HASH, "nn": HASH, "en": HASH},
    },
    "campaign.finished": {"campaign": "0" * 32, "counts": {"sent": 93, "uncertain": 0}},
    "retention.executed": {"counts": {"customer": 0, "messages": 12}},
    "vault.rotated": {"epoch": 2},
    "vault.epoch_retired": {"epoch": 1},
    "log.padded": {},
    "key.rotated": {"from": LOG_KEY, "to": LOG_KEY},
    "key.retired": {"key": LOG_KEY},
    "log.recovered": {
        "origin": "samtykke.test/consent",
        "size": 1067,
        "root": "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
        "restored_size": 0,
        "key": LOG_KEY,
    },
}
FIELDS = [(type, field) for type, data in GOOD.items() for field in data]
# What people are known by, in every shape that a value could have.
PERSONAL: list[Any] = [
    "Kari Nordmann",
    "kari@example.com",
    "+47 912 34 567",
    "Kongens gate 1",
    "192.0.2.7",
    "2001:db8::1",
    "Mozilla/5.0 (X11; Linux x86_64)",
    "a remark, of any kind",
    "",
    "marketing\n",
    "Æ",
    ["Kari Nordmann"],
    {"nb": "Kari Nordmann"},
    {"Kari Nordmann": HASH},
    {},
    [],
    None,
    True,
    1.5,
    -1,
    10**6,
]
# The sizes of a log, which it finds out for itself, are the only numbers without a bound.
SIZES = [("log.recovered", field, 10**6) for field in ("size", "restored_size")]


@pytest.mark.parametrize("type", SCHEMAS)
def test_every_type_has_an_example_that_passes(type: str) -> None:
    """Every schema can be met."""
    check(type, GOOD[type])


@pytest.mark.requirement(50, 52)
@pytest.mark.parametrize(("type", "field"), FIELDS)
def test_no_field_takes_what_a_person_is_known_by(type: str, field: str) -> None:
    """Name, address, phone, IP, user agent, remark: refused in every field of every type."""
    for value in PERSONAL:
        if (type, field, value) in SIZES:
            continue
        with pytest.raises(SchemaError) as caught:
            check(type, {**GOOD[type], field: value})
        assert caught.value.field == field
        if isinstance(value, str) and value.strip():
            assert value not in str(caught.value)


@pytest.mark.parametrize(("type", "field"), FIELDS)
def test_every_field_is_required(type: str, field: str) -> None:
    """An entry that leaves something out proves less than it seems to."""
    with pytest.raises(SchemaError):
        check(type, {name: value for name, value in GOOD[type].items() if name != field})


@pytest.mark.parametrize("type", GOOD)
def test_no_other_field_is_taken(type: str) -> None:
    """Schemas are closed."""
    with pytest.raises(SchemaError):
        check(type, {**GOOD[type], "remark": "x"})


@pytest.mark.parametrize("type", ["", "consent.unknown", "consent.given ", "CONSENT.GIVEN"])
def test_no_other_type_is_taken(type: str) -> None:
    """What the ledger may say is written down, all of it."""
    with pytest.raises(SchemaError):
        check(type, GOOD["consent.given"])


@pytest.mark.parametrize(
    ("type", "field", "value"),
    [
        ("notice.published", "effective_on", "2026-02-29"),
        ("notice.published", "effective_on", "20260228"),
        ("notice.published", "effective_on", "2026-W01-1"),
        ("notice.published", "hashes", {"sv": HASH}),
        ("notice.published", "hashes", {"nb": HASH.upper()}),
        ("consent.given", "served_at", "2026-11-22T12:00:00Z"),
        ("consent.given", "served_at", "2026-11-22T12:00:00.000+01:00"),
        ("consent.given", "expires_at", "2026-13-22T12:00:00.000Z"),
        ("consent.given", "purpose_version", "1"),
        ("consent.given", "purpose_version", 0),
        ("consent.given", "purpose", "a" * 41),
        ("consent.given", "purpose", "_a"),
        ("request.received", "kind", "curiosity"),
        ("request.received", "reference", "K7Q"),
        ("request.received", "reference", "k7q-2mx9"),
        ("erasure.executed", "holdings", ["account", "account"]),
        ("key.rotated", "to", f"{LOG_KEY}="),
        ("key.rotated", "to", WITNESS_KEY),
        ("key.retired", "key", PERSON_KEY),
        ("log.recovered", "origin", "samtykke.test"),
        ("log.recovered", "origin", "https://samtykke.test/consent"),
        ("log.recovered", "origin", "samtykke.test/" + "a" * 187),
        ("log.recovered", "size", 0),
        ("log.recovered", "size", 2**53),
        ("log.recovered", "root", HASH),
        ("log.recovered", "root", "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFV="),
    ],
)
def test_near_misses_are_refused(type: str, field: str, value: object) -> None:
    """A value in almost the right form is in the wrong form."""
    with pytest.raises(SchemaError):
        check(type, {**GOOD[type], field: value})
