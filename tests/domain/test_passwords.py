"""Passwords: what is taken, and how it is kept."""

from __future__ import annotations

import pytest
from argon2 import extract_parameters, profiles

from domain.identity.passwords import PasswordProblem, Passwords, common, problem

CHEAP = Passwords("cheapest")


def test_the_right_password_is_known_again() -> None:
    """What was scrambled is recognised, and nothing else is."""
    scrambled = CHEAP.hash("fjell og fjord")
    assert CHEAP.verify(scrambled, "fjell og fjord")
    assert not CHEAP.verify(scrambled, "fjell og fjorD")


def test_two_people_with_one_password_have_different_hashes() -> None:
    """Each hash has its own salt."""
    assert CHEAP.hash("fjell og fjord") != CHEAP.hash("fjell og fjord")


def test_an_unknown_account_has_no_password() -> None:
    """Without an account every password is wrong, the decoy's too."""
    assert not CHEAP.verify(None, "fjell og fjord")
    assert not CHEAP.verify(None, "")


@pytest.mark.requirement(64)
@pytest.mark.parametrize("profile", ["cheapest", "strong"])
def test_an_unknown_account_costs_the_same_work(profile: str) -> None:
    """The decoy has the strength of the real ones, so the time tells nothing."""
    passwords = Passwords("strong" if profile == "strong" else "cheapest")
    decoy = extract_parameters(passwords._decoy)
    assert decoy == extract_parameters(passwords.hash("fjell og fjord"))


@pytest.mark.requirement(76)
def test_strong_is_the_profile_of_the_rfc() -> None:
    """Passwords are kept by Argon2id with the second recommended set of RFC 9106."""
    parameters = extract_parameters(Passwords("strong").hash("fjell og fjord"))
    assert parameters == profiles.RFC_9106_LOW_MEMORY


def test_a_weaker_hash_asks_to_be_made_again() -> None:
    """A hash of another strength is renewed at the next sign-in."""
    strong = Passwords("strong")
    assert strong.needs_rehash(CHEAP.hash("fjell og fjord"))
    assert not CHEAP.needs_rehash(CHEAP.hash("fjell og fjord"))


def test_the_same_letters_from_another_keyboard_are_the_same_password() -> None:
    """An å is an å, whether it comes as one code point or as two."""
    assert CHEAP.verify(CHEAP.hash("bl\u00e5b\u00e6rt\u00e5ke"), "bla\u030ab\u00e6rta\u030ake")


@pytest.mark.parametrize("odd", ["\ud800" * 8, "\0" * 8, "🦌" * 8])
def test_odd_characters_are_a_password_like_any(odd: str) -> None:
    """No text makes scrambling fail."""
    assert CHEAP.verify(CHEAP.hash(odd), odd)


@pytest.mark.requirement(76)
@pytest.mark.parametrize(
    ("password", "expected"),
    [
        ("elg12kø", PasswordProblem.TOO_SHORT),
        ("e" * 257, PasswordProblem.TOO_LONG),
        ("password123", PasswordProblem.COMMON),
        ("PassWord", PasswordProblem.COMMON),
        ("kari.nordmann@firma.example", PasswordProblem.PERSONAL),
        ("KariNordmann", PasswordProblem.PERSONAL),
        ("nordmann-1990", PasswordProblem.PERSONAL),
        ("kari!!kari!!", PasswordProblem.PERSONAL),
        ("Åse Kari 77", PasswordProblem.PERSONAL),
        ("elg12kød", None),
        ("elgenklyver", None),
        ("e x" * 85, None),
        ("nordmann bor i fjellet", None),
        ("27418305926", None),
    ],
)
def test_what_is_wrong_with_a_password(password: str, expected: PasswordProblem | None) -> None:
    """Length, the commonest and one's own name count; which kinds of characters does not."""
    own = ("Åse Kari Nordmann", "kari.nordmann@firma.example")
    assert problem(password, own=own) == expected


def test_a_short_name_forbids_little() -> None:
    """A part of one or two letters is in too many good passwords to mean anything."""
    assert problem("bobobobo", own=("Bo Li",)) is None


def test_without_own_words_nothing_is_personal() -> None:
    """Fields that were left empty forbid nothing."""
    assert problem("elgenklyver", own=("", None)) is None


@pytest.mark.requirement(76)
def test_the_list_holds_what_the_rules_would_take() -> None:
    """Well over the 3,000 commonest passwords of at least eight characters are refused."""
    assert len(common()) > 8000
    assert all(len(password) >= 8 for password in common())
    assert {"password", "12345678", "iloveyou", "qwertyuiop"} <= common()
