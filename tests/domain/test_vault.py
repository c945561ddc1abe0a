"""The vault, and the one spelling of addresses and numbers."""

from __future__ import annotations

import hashlib
import hmac
from uuid import UUID

import pytest

from domain.identity import emails, phones
from domain.identity.errors import InvalidAddress, InvalidPhone
from domain.identity.vault import field_key, open_field, seal_field
from domain.keys import WrongSeal

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


@pytest.mark.parametrize(
    ("key", "account", "field"),
    [
        (KEY, OTHER, "name"),
        (KEY, ACCOUNT, "city"),
        (field_key(bytes(32)), ACCOUNT, "name"),
    ],
)
def test_a_field_that_was_moved_does_not_open(key: bytes, account: UUID, field: str) -> None:
    """A sealed field belongs to one column of one account under one key."""
    sealed = seal_field(KEY, ACCOUNT, "name", "Kari Nordmann")
    with pytest.raises(WrongSeal):
        open_field(key, account, field, sealed)


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
