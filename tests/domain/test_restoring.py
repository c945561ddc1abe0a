"""What the erasure journal does to a restored copy, word by word, and to a commit that failed."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from database import Database
from domain.identity import accounts
from domain.keys import Keyring
from domain.rights import (
    erasure,
    holds,
    intake,
    joining,
    journal,
    journal_file,
    marks,
    requests,
    upkeep,
)
from domain.rights.journal_file import Line, Word
from domain.rights.models import DataSubjectRequest, RecipientNotice
from domain.rights.requests import RequestKind
from domain.subjects import service as subjects
from domain.subjects.models import Subject
from tests.domain.asking import letters
from tests.domain.consenting import publish
from tests.domain.identity_people import KARI, opened
from tests.support import NOON
from tests.support.faults import Broken, fails, persists

pytestmark = pytest.mark.requirement(82)

DAY = timedelta(days=1)
TODAY = NOON.date()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the journal stands."""
    return tmp_path / "erasure-journal"


@pytest.fixture
def info(info: dict[str, object], path: Path) -> dict[str, object]:
    """What every session carries, with a journal."""
    return {**info, "journal": path}


@pytest.fixture
def kari(database: Database) -> UUID:
    """Somebody with an account."""
    with database.transaction() as session:
        publish(session)
        return opened(session).subject_id


def placed(session: Session, who: UUID, name: str = "account") -> UUID:
    """A hold on what is named."""
    hold = holds.place(session, who, "legal_claim", "Krav", [name], date(2028, 1, 1), at=NOON)
    return hold.id


def erase(database: Database, who: UUID) -> None:
    """As the button does."""
    with database.transaction() as session:
        request = requests.receive(session, who, RequestKind.ERASURE, channel="account", at=NOON)
        requests.verify(session, request, channel="account", at=NOON)
        erasure.fulfil(session, request, at=NOON)


def there(database: Database, who: UUID) -> bool:
    """Whether somebody is in the database."""
    with database.reading() as session:
        return session.get(Subject, who) is not None


@pytest.mark.requirement(62)
def test_what_a_hold_kept_does_not_come_back_once_it_went(
    database: Database, keys: Keyring, path: Path, kari: UUID
) -> None:
    """The copy is from between the erasure and the end of the hold. While the journal says that
    something is held, the copy's hold keeps it."""
    with database.transaction() as session:
        placed(session, kari)
    erase(database, kari)
    mark = marks.mark(keys, kari)
    assert journal_file.read(path) == {mark: Line(mark, Word.HELD)}
    assert journal.reapply(database, at=NOON + DAY) == 0
    assert there(database, kari)
    # What the end of the hold wrote, which the copy knows nothing of.
    journal_file.append(path, [Line(mark, Word.WHOLE)], TODAY)
    assert journal.reapply(database, at=NOON + DAY) == 1
    assert not there(database, kari)
    with database.reading() as session:
        assert session.scalars(select(DataSubjectRequest.state)).all() == ["fulfilled"]


@pytest.mark.requirement(62)
def test_the_end_of_a_hold_is_in_the_journal(
    database: Database, keys: Keyring, path: Path, kari: UUID
) -> None:
    """Of two holds the last makes it whole, also where the first kept the requests alone."""
    with database.transaction() as session:
        first, second = placed(session, kari, "requests"), placed(session, kari)
    erase(database, kari)
    for hold_id, word in ((first, Word.HELD), (second, Word.WHOLE)):
        with database.transaction() as session:
            hold = holds.take(session, hold_id)
            assert hold
            holds.release(session, hold, at=NOON + DAY)
        assert journal_file.read(path)[marks.mark(keys, kari)].word is word
    assert not there(database, kari)


@pytest.fixture
def wrote(database: Database, kari: UUID) -> UUID:
    """The one who asked something from Kari's address, before it was confirmed."""
    question = {"email": KARI.email, "locale": "nb", "words": "Kven er Bulbasaur?"}
    with database.transaction() as session:
        case = intake.take_enquiry(session, question, NOON)
        assert case.subject_id
        return case.subject_id


def test_who_was_joined_is_joined_again(
    database: Database, keys: Keyring, path: Path, kari: UUID, wrote: UUID
) -> None:
    """To the account of their address, once the copy knows that it is confirmed; nothing is
    closed, and nobody is told anything."""
    mark = marks.mark(keys, wrote)
    journal_file.append(path, [Line(mark, Word.JOINED, marks.mark(keys, kari))], TODAY)
    assert journal.reapply(database, at=NOON) == 0
    assert there(database, wrote), "nobody has confirmed it yet, as far as the copy knows"
    with database.transaction() as session:
        accounts.confirm_address(session, kari, at=NOON)
    assert journal.reapply(database, at=NOON) == 0
    assert not there(database, wrote)
    with database.reading() as session:
        (case,) = session.scalars(select(DataSubjectRequest))
        assert (case.state, case.subject_id) == ("received", kari)
        assert session.scalars(select(RecipientNotice)).all() == []
        assert letters(session, "mail.recipient_told") == []


def test_who_was_joined_goes_with_the_account(
    database: Database, keys: Keyring, path: Path, kari: UUID, wrote: UUID
) -> None:
    """What they wrote was the account's when that was erased, so the copy must not keep it. Whom
    we told of it was told then, and is not told again."""
    with database.transaction() as session:
        accounts.confirm_address(session, kari, at=NOON)
    said = [Line(marks.mark(keys, wrote), Word.JOINED, marks.mark(keys, kari))]
    journal_file.append(path, [*said, Line(marks.mark(keys, kari))], TODAY)
    assert journal.reapply(database, at=NOON) == 2
    assert not there(database, wrote)
    assert not there(database, kari)
    with database.reading() as session:
        assert session.scalars(select(RecipientNotice)).all() == []


def test_a_join_is_in_the_journal(
    database: Database, keys: Keyring, path: Path, kari: UUID, wrote: UUID
) -> None:
    """With whom somebody was joined to."""
    with database.transaction() as session:
        accounts.confirm_address(session, kari, at=NOON)
        assert joining.join(session, kari, at=NOON)
    mark = marks.mark(keys, wrote)
    assert journal_file.read(path) == {mark: Line(mark, Word.JOINED, marks.mark(keys, kari))}


@pytest.mark.parametrize("hold", [False, True])
def test_a_commit_that_failed_leaves_no_mark(
    database: Database, path: Path, kari: UUID, monkeypatch: pytest.MonkeyPatch, hold: bool
) -> None:
    """Whoever stays is not erased some day; an older line about the person is not taken away."""
    if hold:
        with database.transaction() as session:
            placed(session, kari)
    for _ in range(2):
        with monkeypatch.context() as patch:
            dialect = database.engine.dialect
            patch.setattr(dialect, "do_commit", fails(dialect.do_commit))
            with pytest.raises(Broken), database.transaction() as session:
                erasure.forget(session, kari, "retention", at=NOON)
        assert there(database, kari)
        assert journal_file.read(path) == {}
    assert path.read_bytes().count(b" undone ") == 2
    assert journal.reapply(database, at=NOON + DAY) == 0


def test_a_commit_that_only_seemed_to_fail_keeps_its_mark(
    database: Database, keys: Keyring, path: Path, kari: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer was lost, and the person is erased: a copy must not bring them back."""
    with monkeypatch.context() as patch:
        dialect = database.engine.dialect
        patch.setattr(dialect, "do_commit", persists(dialect.do_commit))
        with pytest.raises(Broken), database.transaction() as session:
            erasure.forget(session, kari, "retention", at=NOON)
    assert not there(database, kari)
    assert set(journal_file.read(path)) == {marks.mark(keys, kari)}


def test_a_savepoint_that_fails_takes_nobody_elses_mark(
    database: Database, keys: Keyring, path: Path, kari: UUID
) -> None:
    """Whoever went before it, in the same transaction, is in the journal."""
    with database.transaction() as session:
        erasure.forget(session, kari, "request", at=NOON)
        with pytest.raises(Broken), session.begin_nested():
            raise Broken
    assert set(journal_file.read(path)) == {marks.mark(keys, kari)}


@pytest.mark.requirement(59)
def test_registrations_are_not_in_the_journal(database: Database, path: Path, kari: UUID) -> None:
    """Neither who is replaced nor who never confirmed: their week ends in a restored copy too, as
    soon as the worker runs."""
    with database.transaction() as session:
        erasure.forget_unconfirmed(session, KARI.email, at=NOON)
        again = opened(session).subject_id
    assert not path.exists()
    upkeep.everything(database, at=NOON + 6 * DAY)
    assert there(database, again)
    upkeep.everything(database, at=NOON + 9 * DAY)
    assert not there(database, again)
    assert path.read_bytes() == journal_file.HEADER
    assert not there(database, kari)


@pytest.mark.requirement(58, 59)
def test_a_restricted_registration_is_not_replaced(database: Database, kari: UUID) -> None:
    """Whoever asked us to keep it as it is decides, and not whoever knows the address."""
    with database.transaction() as session:
        account = accounts.find(session, KARI.email)
        subjects.restrict(session, kari, at=NOON)
        assert erasure.forget_unconfirmed(session, KARI.email, at=NOON) is account
    assert there(database, kari)
