"""An erasure that goes wrong, at whichever step: the next start completes it, nobody is told
before it is done, and the ledger says once that it was.

Every step goes wrong in turn, each time for another person, in one database.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from commands.ledger import CHECKS
from database import Database
from domain.delivery.models import OutboxMessage
from domain.identity import accounts
from domain.identity.accounts import Person
from domain.ledger import files
from domain.ledger.entry import decode
from domain.ledger.invariants import first_violation
from domain.ledger.models import LedgerEntry
from domain.rights import erasure, journal, journal_file, requests
from domain.rights.errors import NotVerified
from domain.rights.inventory import INVENTORY
from domain.rights.requests import RequestKind
from domain.subjects.models import Subject
from tests.domain.consenting import decide, publish
from tests.domain.identity_people import opened
from tests.support import NOON
from tests.support.databases import Urls
from tests.support.faults import Broken, die, fails, killed, persists

pytestmark = pytest.mark.requirement(59, 82)

How = Callable[[Callable[..., Any]], Callable[..., Any]]
# From the first holding to the answer, in the order in which they come.
HOLDINGS = tuple(f"erase {holding.name}" for holding in INVENTORY)
STEPS = (*HOLDINGS, "write the journal", "sync the journal", "commit", "scrub")
# A holding that raises is undone like any other: the first, some, and the last.
SOME = (*HOLDINGS[:-1:5], *STEPS[len(HOLDINGS) - 1 :])


@pytest.fixture
def info(info: dict[str, object], tmp_path: Path) -> dict[str, object]:
    """What every session carries, with a journal."""
    return {**info, "journal": tmp_path / "erasure-journal"}


def inject(patch: pytest.MonkeyPatch, database: Database, step: str, how: How) -> None:
    """Let the step go wrong until `patch` is undone."""
    if step.startswith("erase "):
        name = step.removeprefix("erase ")
        broken = [
            replace(one, erase=how(one.erase)) if one.name == name else one for one in INVENTORY
        ]
        patch.setattr(erasure, "INVENTORY", tuple(broken))
        return
    dialect = database.engine.dialect
    target, name = {
        "write the journal": (journal_file, "append"),
        "sync the journal": (files, "sync"),
        "commit": (dialect, "do_commit"),
        "scrub": (database, "scrub"),
    }[step]
    patch.setattr(target, name, how(getattr(target, name)))


def asked(database: Database, number: int) -> tuple[UUID, UUID]:
    """Somebody who decided something, and whose request for erasure is verified."""
    with database.transaction() as session:
        person = Person(f"Nr {number}", f"n{number}@firma.example")
        who = opened(session, person).subject_id
        accounts.confirm_address(session, who, at=NOON)
        decide(session, who, marketing=True)
        request = requests.receive(session, who, RequestKind.ERASURE, channel="account", at=NOON)
        requests.verify(session, request, channel="account", at=NOON)
        return who, request.id


def press(database: Database, request_id: UUID) -> None:
    """What the button does; when this returns, the person is told that it is done."""
    with database.transaction() as session:
        request = requests.take(session, request_id)
        assert request is not None
        erasure.fulfil(session, request, at=NOON)
    database.scrub()


def here(session: Session, who: UUID) -> bool:
    """Whether somebody is in the database."""
    return session.get(Subject, who) is not None


def told(session: Session) -> tuple[int, int]:
    """How often the ledger says that somebody was erased, and how many last mails there are."""
    entries = [decode(raw) for raw in session.scalars(select(LedgerEntry.bytes))]
    mails = select(OutboxMessage.id).where(OutboxMessage.kind == "mail.erasure_done")
    executed = [entry for entry in entries if entry.type == "erasure.executed"]
    return len(executed), len(session.scalars(mails).all())


def check(database: Database, gone: int, who: UUID, request_id: UUID, step: str) -> bool:
    """Look at what is left, start anew, and let the person press again if they still can; return
    whether the journal had to finish it."""
    with database.reading() as session:
        remains = here(session, who)
        executed, _ = told(session)
    # Never reported as done before it was.
    assert executed == (gone if remains else gone + 1), step
    again = journal.reapply(database, at=NOON)
    with database.reading() as session:
        remains = here(session, who)
    assert again == 0 or not remains, step
    if remains:
        press(database, request_id)
    else:
        with pytest.raises(NotVerified):
            press(database, request_id)
    with database.reading() as session:
        assert not here(session, who), step
        assert told(session)[0] == gone + 1, step
        request = requests.get(session, request_id)
        assert request is not None
        assert (request.state, request.subject_id) == ("fulfilled", None), step
    return bool(again)


# What had reached the journal without its commit, and so is finished by the next start. Where the
# commit fails and the process lives, the journal says that nothing came of it.
FINISHED: dict[How, set[str]] = {
    fails: set(),
    persists: {"write the journal"},
    killed: {"sync the journal", "commit"},
}


@pytest.mark.parametrize("how", [fails, persists, killed])
def test_the_next_start_completes_it(
    database: Database, urls: Urls, info: dict[str, object], how: How
) -> None:
    """Whether a step failed, failed and was stored all the same, or the process was killed."""
    with database.transaction() as session:
        publish(session)
    finished, steps = set(), STEPS if how is killed else SOME
    for number, step in enumerate(steps):
        who, request_id = asked(database, number)
        database.close()
        if how is killed:

            def work(step: str = step, request_id: UUID = request_id) -> None:
                child = Database(urls.application, info=info)
                inject(pytest.MonkeyPatch(), child, step, how)
                press(child, request_id)

            die(work)
        else:
            with pytest.MonkeyPatch.context() as patch:
                inject(patch, database, step, how)
                with suppress(Broken):
                    press(database, request_id)
        if check(database, number, who, request_id, step):
            finished.add(step)
    assert finished == FINISHED[how]
    with database.reading() as session:
        assert told(session) == (len(steps), len(steps) - len(finished))
        assert first_violation(session, CHECKS) is None
