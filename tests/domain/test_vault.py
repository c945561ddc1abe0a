"""The vault, and the one spelling of addresses and numbers."""

from __future__ import annotations

import base64
import hashlib
import hmac
from datetime import datetime
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given as examples
from hypothesis import settings
from hypothesis import strategies as st
from sqlalchemy.orm import Session

from domain.identity import accounts, emails, phones
from domain.identity.errors import InvalidAddress, InvalidPhone
from domain.identity.vault import field_key, open_field, seal_field
from domain.keys import WrongSeal
from domain.subjects import service as subjects
from settings import Settings
from tests.domain.identity_people import KARI, OLA, opened

ACCOUNT = UUID("11111111-1111-4111-8111-111111111111")
OTHER = UUID("22222222-2222-4222-8222-222222222222")
KEY = field_key(bytes(range(32)))


def test_the_field_key_is_hkdf_of_the_subject_key() -> None:
    """HKDF-SHA256 without salt, info `samtykke vault v1`, 32 bytes: computed by hand (RFC 5869)."""

    extracted = hmac.new(bytes(32), bytes(range(32)), hashlib.sha256).digest()
    expected = hmac.new(extracted, b"samtykke vault v1\x01", hashlib.sha256).digest()
    assert expected == KEY


@pytest.mark.requirement(82)
def test_a_field_opens_where_it_was_sealed() -> None:
    """What was sealed is read again, and cannot be read without the key."""
    sealed = seal_field(KEY, ACCOUNT, "name", "Kari Nordmann")
    assert sealed is not None
    assert b"Kari" not in sealed
    assert open_field(KEY, ACCOUNT, "name", sealed) == "Kari Nordmann"


@pytest.mark.parametrize("text", ["", None])
def test_an_empty_field_is_absent(text: str | None) -> None:
    """Nothing is kept of a field that was left empty."""
    assert seal_field(KEY, ACCOUNT, "phone", text) is None
    assert open_field(KEY, ACCOUNT, "phone", None) is None


@pytest.mark.requirement(82)
@pytest.mark.parametrize(
    ("key", "row", "field", "table"),
    [
        (KEY, OTHER, "name", "account"),
        (KEY, ACCOUNT, "city", "account"),
        (KEY, ACCOUNT, "name", "correspondent"),
        (field_key(bytes(32)), ACCOUNT, "name", "account"),
    ],
    ids=["row", "column", "table", "person"],
)
def test_a_field_that_was_moved_does_not_open(
    key: bytes, row: UUID, field: str, table: str
) -> None:
    """A sealed field belongs to one column of one row under one person's key."""
    sealed = seal_field(KEY, ACCOUNT, "name", "Kari Nordmann")
    with pytest.raises(WrongSeal):
        open_field(key, row, field, sealed, table=table)


SEALED = seal_field(KEY, ACCOUNT, "name", "Kari Nordmann") or b""


@settings(deadline=None)
@examples(st.integers(0, len(SEALED) - 1), st.integers(0, 7))
def test_a_damaged_field_does_not_open(at: int, bit: int) -> None:
    """Cut off anywhere, also to nothing, or with one bit changed: never a wrong plaintext."""
    flipped = SEALED[:at] + bytes([SEALED[at] ^ 1 << bit]) + SEALED[at + 1 :]
    for damaged in (SEALED[:at], flipped, SEALED + b"\0"):
        with pytest.raises(WrongSeal):
            open_field(KEY, ACCOUNT, "name", damaged)


@pytest.mark.requirement(82)
def test_two_people_who_were_swapped_in_the_database_are_not_read(
    session: Session, NOON: datetime
) -> None:
    """Whoever can write to the database cannot show one person the other's name, whether they swap
    the fields, the keys, or both: each reading is an error."""
    kari, ola = opened(session, KARI, at=NOON), opened(session, OLA, at=NOON)
    keys = [subjects.get(session, one.subject_id) for one in (kari, ola)]
    for swapped in ((True, False), (False, True), (True, True)):
        with session.begin_nested() as undone:
            if swapped[0]:
                kari.name, ola.name = ola.name, kari.name
            if swapped[1]:
                one, other = keys
                one.wrapped_key, other.wrapped_key = other.wrapped_key, one.wrapped_key
            session.flush()
            for account in (kari, ola):
                with pytest.raises(WrongSeal):
                    accounts.person(session, account)
            undone.rollback()
    assert accounts.person(session, kari).name == "Kari Nordmann"


@pytest.mark.parametrize(
    ("typed", "spelled"),
    [
        ("Kari.Nordmann@Firma.Example", "kari.nordmann@firma.example"),
        (" kari@firma.test ", "kari@firma.test"),
        ("KARI+tips@example.com", "kari+tips@example.com"),
        ("kari@Blåbær.no", "kari@xn--blbr-roah.no"),
        ("kari@xn--blbr-roah.no", "kari@xn--blbr-roah.no"),
    ],
)
def test_an_address_has_one_spelling(typed: str, spelled: str) -> None:
    """However an address is typed, it finds the same account; spelling it again changes nothing."""
    assert emails.normalise(typed) == spelled
    assert emails.normalise(spelled) == spelled


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "kari",
        "kari@",
        "@firma.example",
        "kari@localhost",
        "kari@firma..example",
        "kåre@firma.example",
        "kari@firma.example\nBcc: all@firma.example",
        "Kari <kari@firma.example>",
        "a" * 65 + "@firma.example",
        "kari@firma.example\0",
    ],
)
def test_what_is_no_address_is_refused_without_quoting_it(typed: str) -> None:
    """An error may be logged: it never says what was typed, nor does what it came from."""
    with pytest.raises(InvalidAddress) as caught:
        emails.normalise(typed)
    assert "kari" not in str(caught.value)
    assert caught.value.__suppress_context__


@pytest.mark.parametrize(
    ("typed", "spelled"),
    [
        ("900 00 000", "+4790000000"),
        ("+47 90 00 00 00", "+4790000000"),
        ("0047 90000000", "+4790000000"),
        ("+46 8 123 456 78", "+46812345678"),
    ],
)
def test_a_number_has_one_spelling(typed: str, spelled: str) -> None:
    """A number without a country code is Norwegian."""
    assert phones.normalise(typed) == spelled
    assert phones.normalise(spelled) == spelled


@pytest.mark.parametrize("typed", ["", "elg", "123", "900 00 00", "+47 90000000 ext. 5", "+999 1"])
def test_what_is_no_number_is_refused(typed: str) -> None:
    """Nothing is kept that nobody can ring."""
    with pytest.raises(InvalidPhone):
        phones.normalise(typed)


def test_every_value_that_the_keyring_seals_is_sealed_again() -> None:
    """A module that begins to seal by the keyring itself is brought into the rotation."""
    from settings import ROOT

    found = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "domain").rglob("*.py")
        if "ring.seal(" in path.read_text() or "keyring(session).seal(" in path.read_text()
    }
    assert found == {
        "domain/accounting/records.py",
        "domain/analytics/pseudonyms.py",
        "domain/delivery/outbox.py",
        "domain/sealed.py",
        "domain/subjects/service.py",
    }


def test_the_key_of_development_is_made_once(tmp_path: Path) -> None:
    """32 random bytes, for nobody else to read."""
    environ = {"SAMTYKKE_ENV": "development", "INSTANCE_PATH": str(tmp_path)}
    ring = Settings.from_environment(environ).keys
    (line,) = (tmp_path / "vault-keys").read_text().splitlines()
    assert ring.epochs[1] == base64.b64decode(line.split()[2])
    assert Settings.from_environment(environ).keys == ring
