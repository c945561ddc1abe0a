"""Telephone numbers, in the one spelling of E.164."""

from __future__ import annotations

import phonenumbers

from domain.identity.errors import InvalidPhone

REGION = "NO"


def normalise(text: str) -> str:
    """The number as E.164 (`+4790000000`); raise InvalidPhone for anything else.

    A number without a country code is Norwegian. One with an extension is refused: E.164 has
    no place for it, and dropping it would keep another number than the person gave.
    """
    try:
        number = phonenumbers.parse(text, REGION)
    except phonenumbers.NumberParseException:
        raise InvalidPhone from None
    if number.extension or not phonenumbers.is_valid_number(number):
        raise InvalidPhone
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
