"""Accounts: opened once for each address, corrected, and found by nothing but the address."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import func, inspect, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from database import Database
from domain.identity import accounts, signed_links
from domain.identity.accounts import Person
from domain.identity.errors import AddressTaken, BadLink, InvalidAddress, UnknownAccount
from domain.identity.models import Account
from domain.identity.signed_links import LinkKind
from domain.ledger.models import LedgerEntry
from domain.subjects import service as subjects
from domain.subjects.models import EntryLink, Subject
from tests.domain.identity_people import KARI, OLA, opened
from tests.support import NOON

LATER = NOON + timedelta(minutes=10)


def _counts(session: Session) -> list[int | None]:
    tables = (Account, Subject, LedgerEntry, EntryLink)
    return [session.scalar(select(func.count()).select_from(table)) for table in tables]


def test_what_was_told_is_read_again(session: Session) -> None:
    """The account gives back what the person told, with the address in its one spelling."""
    account = opened(session)
    assert accounts.person(session, account) == replace(KARI, email="kari.nordmann@firma.example")
    assert (account.stamp, account.opened_at, account.locale) == (1, NOON, "nb")


def test_optional_fields_stay_empty(session: Session) -> None:
    """Name, address and password are enough."""
    assert accounts.person(session, opened(session, OLA)) == OLA


@pytest.mark.requirement(82)
def test_nothing_of_a_person_can_be_read_from_the_row(session: Session) -> None:
    """A dump of the table holds no word that the person told."""
    account = opened(session)
    accounts.request_new_address(session, account, "ny@firma.example", at=NOON)
    row = repr(session.execute(text("SELECT * FROM account")).one()).casefold()
    for word in ("kari", "nordmann", "firma", "90000000", "elgeseter", "7030", "trondheim"):
        assert word not in row


def test_a_person_shows_nothing_of_themselves() -> None:
    """A repr that ends in a log tells nothing."""
    shown = f"{KARI!r} {KARI}"
    assert "Kari" not in shown
    assert "firma" not in shown


def test_opening_is_an_entry_about_the_subject(session: Session) -> None:
    """The ledger knows that an account was opened, on which terms, and the declared age."""
    account = opened(session, locale="nn", declared_age=13)
    [entry] = subjects.entries(session, account.subject_id)
    assert entry.type == "account.opened"
    assert entry.at == NOON
    assert entry.data == {"terms": "2026-11-01", "locale": "nn", "declared_age": 13}
    subject = session.get_one(Subject, account.subject_id)
    assert (subject.declared_age, subject.confirmed_at) == (13, None)


@pytest.mark.parametrize(
    "spelling", ["kari.nordmann@firma.example", " KARI.Nordmann@Firma.EXAMPLE"]
)
def test_an_account_is_found_by_its_address(session: Session, spelling: str) -> None:
    """However the address is typed."""
    account = opened(session)
    assert accounts.find(session, spelling) is account
    assert accounts.of_subject(session, account.subject_id) is account
    assert accounts.get(session, account.id) is account


@pytest.mark.parametrize("unknown", ["ola@firma.example", "no address", ""])
def test_an_unknown_address_finds_nothing(session: Session, unknown: str) -> None:
    """Text that is no address finds nothing either, without an error."""
    opened(session)
    assert accounts.find(session, unknown) is None


def test_a_taken_address_changes_nothing(database: Database) -> None:
    """A second registration leaves no subject and no entry, and its session can be used on."""
    with database.transaction() as session:
        opened(session)
        before = _counts(session)
    with database.transaction() as session:
        with pytest.raises(AddressTaken) as caught:
            opened(session, replace(OLA, email="KARI.nordmann@firma.example"))
        assert _counts(session) == before
        opened(session, OLA)
    assert caught.value.__suppress_context__
    with database.reading() as session:
        assert _counts(session) == [2, 2, 2, 2]


def test_an_address_that_is_none_opens_nothing(session: Session) -> None:
    """An account without an address that mail can be sent to does not exist."""
    with pytest.raises(InvalidAddress):
        opened(session, replace(KARI, email="kari"))
    assert _counts(session) == [0, 0, 0, 0]


def test_another_broken_constraint_is_not_called_a_taken_address(session: Session) -> None:
    """Only the address explains itself; anything else is an error to look into."""
    with pytest.raises(IntegrityError):
        accounts.register(
            session,
            KARI,
            None,  # type: ignore[arg-type]
            locale="nb",
            terms="2026-11-01",
            declared_age=15,
            at=NOON,
        )
    assert _counts(session) == [0, 0, 0, 0]


def test_of_two_registrations_at_once_one_succeeds(database: Database) -> None:
    """The second waits for the first and is told that the address is taken."""

    def second() -> None:
        with database.transaction() as session:
            opened(session)

    with ThreadPoolExecutor(1) as pool:
        with database.transaction() as session:
            opened(session)
            late = pool.submit(second)
            assert not wait({late}, timeout=0.3).done
        with pytest.raises(AddressTaken):
            late.result(timeout=20)
    with database.reading() as session:
        assert _counts(session) == [1, 1, 1, 1]


@pytest.mark.requirement(58)
def test_what_was_told_can_be_corrected(session: Session) -> None:
    """Every field but the address is corrected at once; one can be emptied."""
    account = opened(session)
    corrected = Person(name="Kari Li", email="other@firma.example", phone="", city="Oslo")
    accounts.update(session, account, corrected, at=LATER)
    assert accounts.person(session, account) == Person(
        name="Kari Li", email="kari.nordmann@firma.example", city="Oslo"
    )
    assert account.stamp == 1


def test_language_and_age_are_remembered(session: Session) -> None:
    """Both can be told again later."""
    account = opened(session)
    accounts.set_locale(session, account, "en")
    accounts.declare_age(session, account, 18)
    session.expire_all()
    assert account.locale == "en"
    assert session.get_one(Subject, account.subject_id).declared_age == 18


def test_the_first_confirmation_counts(session: Session) -> None:
    """An address is confirmed once; whoever was signed in before is signed out."""
    account = opened(session)
    assert not accounts.is_confirmed(session, account)
    accounts.confirm_address(session, account.subject_id, at=LATER)
    assert accounts.is_confirmed(session, account)
    accounts.confirm_address(session, account.subject_id, at=LATER + timedelta(days=1))
    assert session.get_one(Subject, account.subject_id).confirmed_at == LATER
    assert account.stamp == 3


def test_nobody_without_an_account_confirms(session: Session) -> None:
    """A subject that is gone has no address."""
    account = opened(session)
    session.delete(account)
    session.flush()
    with pytest.raises(UnknownAccount):
        accounts.confirm_address(session, account.subject_id, at=LATER)


def test_a_new_password_voids_what_was_before(session: Session) -> None:
    """Sessions and links carry the stamp; it grows."""
    account = opened(session)
    accounts.change_password(session, account, "scrambled anew")
    assert (account.password_hash, account.stamp) == ("scrambled anew", 2)


def test_scrambling_again_ends_nothing(session: Session) -> None:
    """The same password at another strength is no change to the person."""
    account = opened(session)
    accounts.rescramble(session, account, "scrambled harder")
    assert (account.password_hash, account.stamp) == ("scrambled harder", 1)


def test_scrambling_again_never_brings_an_old_password_back(database: Database) -> None:
    """A password that was changed while someone signed in with the old one stays changed."""
    with database.transaction() as session:
        account_id = opened(session).id
    with database.reading() as session:
        stale = session.get_one(Account, account_id)
    with database.transaction() as session:
        accounts.change_password(session, session.get_one(Account, account_id), "new")
    with database.transaction() as session:
        session.add(stale)
        accounts.rescramble(session, stale, "old, scrambled harder")
        assert stale.password_hash == "new"


@pytest.mark.requirement(58)
def test_a_new_address_counts_when_it_is_confirmed(session: Session) -> None:
    """Until then the old one is the account's; afterwards the old one finds nothing."""
    account = opened(session)
    accounts.confirm_address(session, account.subject_id, at=NOON)
    wanted = accounts.request_new_address(session, account, "Ny@Firma.example", at=NOON)
    assert wanted == accounts.pending_email(session, account) == "ny@firma.example"
    assert accounts.person(session, account).email == "kari.nordmann@firma.example"
    assert accounts.find(session, "ny@firma.example") is None

    old = accounts.take_new_address(session, account.subject_id, at=LATER)
    assert old == "kari.nordmann@firma.example"
    assert accounts.find(session, "ny@firma.example") is account
    assert accounts.find(session, old) is None
    assert accounts.person(session, account).email == "ny@firma.example"
    assert accounts.pending_email(session, account) is None
    assert account.stamp == 3
    assert session.get_one(Subject, account.subject_id).confirmed_at == LATER


def test_asking_for_the_same_address_asks_for_none(session: Session) -> None:
    """Who writes their own address again has changed their mind."""
    account = opened(session)
    accounts.request_new_address(session, account, "ny@firma.example", at=NOON)
    own = "KARI.NORDMANN@firma.example"
    assert accounts.request_new_address(session, account, own, at=LATER) is None
    assert accounts.pending_email(session, account) is None
    with pytest.raises(BadLink):
        accounts.take_new_address(session, account.subject_id, at=LATER)


def test_a_link_never_confirms_another_new_address(session: Session) -> None:
    """A link that went to one address is void as soon as another is asked for."""
    account = opened(session)
    accounts.request_new_address(session, account, "first@firma.example", at=NOON)
    token = signed_links.issue(
        session,
        LinkKind.NEW_ADDRESS,
        account.subject_id,
        stamp=account.stamp,
        lifetime=timedelta(hours=1),
        at=NOON,
    )
    accounts.request_new_address(session, account, "second@firma.example", at=NOON)
    with pytest.raises(BadLink):
        signed_links.look(session, LinkKind.NEW_ADDRESS, token, at=NOON)


def test_asking_does_not_tell_who_has_an_account(session: Session) -> None:
    """A taken address is answered like a free one; it is refused when it is confirmed."""
    opened(session, OLA)
    account = opened(session)
    wanted = accounts.request_new_address(session, account, OLA.email, at=NOON)
    assert wanted == OLA.email
    with pytest.raises(AddressTaken):
        accounts.take_new_address(session, account.subject_id, at=LATER)
    assert accounts.person(session, account).email == "kari.nordmann@firma.example"
    assert account.stamp == 1
    assert accounts.find(session, OLA.email) is not account
    assert session.get_one(Subject, account.subject_id).confirmed_at is None


def test_every_column_about_a_person_is_sealed(session: Session) -> None:
    """A column that is added later is sealed, or stands here with the reason why not."""
    plain = {
        "id": "random",
        "subject_id": "random",
        "email_lookup": "a keyed hash",
        "password_hash": "scrambled",
        "locale": "one of three",
        "terms_accepted": "a date of the site's",
        "stamp": "a count",
        "opened_at": "needed to count",
        "staff": "whether they work for the operator",
        "undeliverable_at": "needed to find whom not to write to",
        "undeliverable_status": "a code of RFC 3463",
    }
    columns = {column.key for column in inspect(Account).column_attrs}
    sealed = {*KARI.__dataclass_fields__, "pending_email"}
    assert columns == sealed | plain.keys()
