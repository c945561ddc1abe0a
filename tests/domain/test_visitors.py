"""A visitor's choice: what becomes of each answer, and what of it a browser can bring back."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from sqlalchemy.orm import Session

from domain.consent import presentations, visitors
from domain.consent.errors import StalePresentation
from domain.consent.presentations import Shown
from domain.consent.purposes import PurposeRegister
from domain.consent.visitors import Choice
from domain.dates import months_later
from domain.keys import Keyring
from domain.ledger.entry import decode
from domain.ledger.models import LedgerEntry
from tests.domain.consenting import publish
from tests.support import NOON

LATER = NOON + timedelta(days=1)
YES, NO = {"analytics": True}, {"analytics": False}


@pytest.fixture(autouse=True)
def published(session: Session) -> None:
    """The notices are in force."""
    publish(session)


def served(session: Session, *, at: datetime = NOON) -> Shown:
    """The section as it is served at this time."""
    document = presentations.current(session, visitors.SURFACE, "nb", at=at)
    return Shown(document, at)


def answer(
    session: Session,
    register: PurposeRegister,
    before: Choice | None,
    choices: dict[str, bool],
    *,
    signal: bool = False,
    at: datetime = NOON,
    shown: Shown | None = None,
) -> tuple[Choice, list[str]]:
    """Answer the section; what stands in the browser then, and the states that were recorded."""
    shown = shown or served(session, at=at)
    decided = visitors.decide(register, before, choices, shown, signal=signal, at=at)
    made = visitors.record(session, before, decided, shown, signal=signal, at=at)
    return made, [str(state) for _, state, _ in decided]


# What was answered before, with a signal or none, and when; what is answered now; the state.
STATES = [
    ([], YES, "given"),
    ([], NO, "refused"),
    ([(YES, False, NOON)], YES, None),
    ([(YES, False, NOON)], NO, "withdrawn"),
    ([(NO, False, NOON)], NO, None),
    ([(NO, False, NOON)], YES, "given"),
    ([(YES, False, NOON), (NO, False, NOON)], NO, None),
    ([(YES, False, NOON), (NO, False, NOON)], YES, "given"),
    ([(YES, False, NOON - timedelta(days=366))], YES, "renewed"),
    ([(YES, False, NOON - timedelta(days=366))], NO, "refused"),
]


@pytest.mark.requirement(14, 15, 47)
@pytest.mark.parametrize(("before", "choices", "state"), STATES)
def test_an_answer_is_recorded_where_it_changes_something(
    session: Session,
    register: PurposeRegister,
    before: list[tuple[dict[str, bool], bool, datetime]],
    choices: dict[str, bool],
    state: str | None,
) -> None:
    """The entry is about nobody and says what a member's would; saving the same again says
    nothing more. What the browser keeps permits exactly what was ticked."""
    choice: Choice | None = None
    for one, signal, at in before:
        choice, _ = answer(session, register, choice, one, signal=signal, at=at)
    choice, states = answer(session, register, choice, choices, at=LATER)
    assert states == ([state] if state else [])
    assert choice.permits(register, "analytics", signal=False, at=LATER) == choices["analytics"]
    said = choice.answers["analytics"]
    assert said.entry_id
    entry = decode(session.get_one(LedgerEntry, said.entry_id).bytes)
    assert entry.type == f"consent.{said.state}"
    assert entry.data["surface"] == "visitor"
    assert entry.data["presentation"] == choice.presentation
    assert presentations.get(session, choice.presentation)


@pytest.mark.requirement(31)
def test_the_signal_is_a_no_until_a_yes_is_said_despite_it(
    session: Session, register: PurposeRegister
) -> None:
    """A yes from before does not count where the signal is sent, and can be said once more; one
    that was said despite it counts with and without."""
    choice, _ = answer(session, register, None, YES)
    assert choice.permits(register, "analytics", signal=False, at=NOON)
    assert not choice.permits(register, "analytics", signal=True, at=NOON)
    choice, states = answer(session, register, choice, YES, signal=True)
    assert states == ["renewed"]
    for signal in (False, True):
        assert choice.permits(register, "analytics", signal=signal, at=NOON)


@pytest.mark.requirement(7, 15)
def test_a_yes_ends_with_its_time_and_with_its_words(
    session: Session, register: PurposeRegister
) -> None:
    """After twelve months, and with another version of the purpose, it permits nothing and is
    asked for again."""
    at = NOON + timedelta(days=9)  # the day on which the register itself changes is over
    choice, _ = answer(session, register, None, YES, at=at)
    over = months_later(at, 12)
    assert not visitors.unanswered(register, choice, at=over - timedelta(seconds=1))
    assert visitors.unanswered(register, choice, at=over)
    assert not choice.permits(register, "analytics", signal=False, at=over)
    here = register.on(at.date())
    newer = replace(here.purposes["analytics"], version=9)
    other = replace(here, purposes={**here.purposes, "analytics": newer})
    assert visitors.unanswered(other, choice, at=at)
    assert not choice.permits(other, "analytics", signal=False, at=at)


@pytest.mark.requirement(33)
def test_an_old_tab_does_not_undo_a_no(session: Session, register: PurposeRegister) -> None:
    """A yes on a page from before the no is asked for again; a no counts from any page."""
    old = served(session, at=NOON - timedelta(hours=1))
    no, _ = answer(session, register, None, NO)
    with pytest.raises(StalePresentation):
        answer(session, register, no, YES, shown=old)
    yes, _ = answer(session, register, None, YES)
    assert answer(session, register, yes, NO, shown=old)[1] == ["withdrawn"]


@pytest.mark.requirement(29)
def test_a_browser_brings_back_what_was_sealed_and_nothing_else(
    session: Session, register: PurposeRegister, keys: Keyring
) -> None:
    """A cookie that was made by hand, cut, changed, signed with another key or for another use, or
    that is over, is no choice at all."""
    choice, _ = answer(session, register, None, YES)
    sealed = choice.seal(keys)
    assert Choice.open(keys, sealed, at=NOON) == choice
    token = presentations.token(session, served(session).document, at=NOON)
    other = replace(keys, signing_key="another key for tests, of more than 32 characters")
    for wrong in ("", "x", sealed[:-1], sealed[1:], f"{sealed}x", token, choice.seal(other)):
        assert Choice.open(keys, wrong, at=NOON) is None
    assert Choice.open(keys, sealed, at=choice.expires_at) is None
