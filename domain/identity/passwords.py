"""Passwords: scrambling them with Argon2id, and refusing those that anyone would guess."""

from __future__ import annotations

import re
import secrets
import unicodedata
from collections.abc import Iterable, Iterator
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Literal

from argon2 import PasswordHasher, profiles
from argon2.exceptions import VerifyMismatchError

# In place of a scrambled password: nothing is the password of this account.
NO_PASSWORD = "!"  # noqa: S105 - it is none
MIN_LENGTH = 8
MAX_LENGTH = 256

_PROFILES = {"strong": profiles.RFC_9106_LOW_MEMORY, "cheapest": profiles.CHEAPEST}
_COMMON = Path(__file__).with_name("common_passwords.txt")
# Shorter parts of a name would forbid too much: nobody guesses by "bo" or "li".
_SHORTEST_PART = 3


class PasswordProblem(StrEnum):
    """Why a password is not taken."""

    TOO_SHORT = "too_short"
    TOO_LONG = "too_long"
    COMMON = "common"
    PERSONAL = "personal"


class Passwords:
    """Scrambles and checks passwords at one strength. `cheapest` is for tests only."""

    def __init__(self, profile: Literal["strong", "cheapest"] = "strong"):
        self._hasher = PasswordHasher.from_parameters(_PROFILES[profile])
        # Made now: made at first need, the first unknown address would take twice as long.
        self._decoy = self.hash(secrets.token_urlsafe())

    def hash(self, password: str) -> str:
        """The password scrambled, with its own salt and the strength that was used."""
        return self._hasher.hash(_bytes(password))

    def verify(self, password_hash: str | None, password: str) -> bool:
        """Whether this is the password.

        With None (no such account), or where none was chosen yet, it does the same work against a
        decoy and says no, so that the time of the answer does not tell whether an account exists.
        """
        none = password_hash is None or password_hash == NO_PASSWORD
        try:
            self._hasher.verify(self._decoy if none else str(password_hash), _bytes(password))
        except VerifyMismatchError:
            return False
        return not none

    def needs_rehash(self, password_hash: str) -> bool:
        """Whether it was scrambled at another strength than today's."""
        return self._hasher.check_needs_rehash(password_hash)


def problem(password: str, *, own: Iterable[str | None] = ()) -> PasswordProblem | None:
    """What is wrong with a new password, or None.

    Length counts and nothing must be in it (OWASP ASVS 6.2): rules of composition make
    passwords alike, not strong. `own` is what a guesser would try first for this person: name,
    e-mail address, the name of the site.
    """
    password = unicodedata.normalize("NFKC", password)
    if len(password) < MIN_LENGTH:
        return PasswordProblem.TOO_SHORT
    if len(password) > MAX_LENGTH:
        return PasswordProblem.TOO_LONG
    if password.casefold() in common():
        return PasswordProblem.COMMON
    if _is_personal(password, own):
        return PasswordProblem.PERSONAL
    return None


@cache
def common() -> frozenset[str]:
    """The commonest passwords that are long enough to be taken (docs/decisions/0007)."""
    return frozenset(_COMMON.read_text("utf-8").casefold().splitlines())


def _is_personal(password: str, own: Iterable[str | None]) -> bool:
    """Whether no letter is left when the person's own words are taken out."""
    rest = password.casefold()
    for part in sorted(set(_parts(own)), key=len, reverse=True):
        rest = rest.replace(part, "\0")
    return "\0" in rest and not any(character.isalpha() for character in rest)


def _parts(own: Iterable[str | None]) -> Iterator[str]:
    for text in own:
        whole = unicodedata.normalize("NFKC", text or "").casefold()
        for part in (whole, *re.split(r"[\W_]+", whole)):
            if len(part) >= _SHORTEST_PART:
                yield part


def _bytes(password: str) -> bytes:
    # The same password typed on another keyboard can be other code points (å as one or as two).
    return unicodedata.normalize("NFKC", password).encode("utf-8", "surrogatepass")
