"""Signed links: one use, one purpose, one person, one hour."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace
from datetime import timedelta
from threading import Barrier
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from database import Database
from domain.identity import accounts, signed_links
from domain.identity.errors import BadLink, ExpiredLink, UsedLink
from domain.identity.holdings import HOLDINGS
from domain.identity.models import Account, SignedLink
from domain.identity.signed_links import LinkKind
from domain.keys import Keyring
from domain.subjects import service as subjects
from tests.domain.identity_people import OLA, opened
from tests.support import NOON

HOUR = timedelta(hours=1)
LAST = NOON + HOUR - timedelta(microseconds=1)
Use = Callable[..., SignedLink]
both = pytest.mark.parametrize("use", [signed_links.look, signed_links.consume])


def mailed(
    session: Session, account: Account, kind: LinkKind = LinkKind.ACCESS, **differing: Any
) -> str:
    """A link for that account."""
    details = {"stamp": account.stamp, "lifetime": HOUR, "at": NOON, **differing}
    return signed_links.issue(session, kind, account.subject_id, **details)


@pytest.mark.requirement(66)
def test_a_link_works_once(session: Session) -> None:
    """It says whom and which request it is for; the second use is refused, looking too."""
    account, request_id = opened(session), uuid4()
    token = mailed(session, account, request_id=request_id)
    link = signed_links.consume(session, LinkKind.ACCESS, token, at=LAST)
    assert (link.subject_id, link.request_id) == (account.subject_id, request_id)
    assert link.used_at == LAST
    for use in (signed_links.consume, signed_links.look):
        with pytest.raises(UsedLink):
            use(session, LinkKind.ACCESS, token, at=LAST)


@pytest.mark.requirement(69)
def test_looking_changes_nothing(database: Database) -> None:
    """A scanner may open the link as often as it likes; the person's click still works."""
    with database.transaction() as session:
        token = mailed(session, opened(session))
    for _ in range(10):
        with database.reading() as session:
            assert signed_links.look(session, LinkKind.ACCESS, token, at=NOON).used_at is None
    with database.transaction() as session:
        signed_links.consume(session, LinkKind.ACCESS, token, at=NOON)


@pytest.mark.requirement(65)
def test_the_token_is_random_and_kept_nowhere(session: Session) -> None:
    """At least 128 random bits; the database has only the SHA-256."""
    account = opened(session)
    tokens = {mailed(session, account, kind) for kind in LinkKind}
    assert len(tokens) == len(LinkKind)
    assert all(len(token) >= 64 for token in tokens)
    rows = repr(session.execute(text("SELECT * FROM signed_link")).all())
    assert not any(part in rows for token in tokens for part in token.split("."))
    hashes = set(session.scalars(select(SignedLink.token_hash)))
    assert hashes == {hashlib.sha256(token.encode()).digest() for token in tokens}


@pytest.mark.requirement(68)
@both
def test_a_link_does_what_it_is_for_and_nothing_else(session: Session, use: Use) -> None:
    """No kind can be used as another: a link to read data cannot erase it."""
    account = opened(session)
    for kind in LinkKind:
        token = mailed(session, account, kind)
        for other in set(LinkKind) - {kind}:
            with pytest.raises(BadLink):
                use(session, other, token, at=NOON)


@pytest.mark.requirement(68)
def test_the_row_too_is_bound_to_its_kind(session: Session, keys: Keyring) -> None:
    """A token signed for one kind finds no row of another."""
    account = opened(session)
    token = mailed(session, account)
    session.execute(text("UPDATE signed_link SET kind = 'erasure'"))
    with pytest.raises(BadLink):
        signed_links.look(session, LinkKind.ACCESS, token, at=NOON)


@both
def test_no_part_of_a_token_works(session: Session, use: Use) -> None:
    """Mail programs cut links: every prefix is refused, and the whole still works."""
    token = mailed(session, opened(session))
    for length in range(len(token)):
        with pytest.raises(BadLink):
            use(session, LinkKind.ACCESS, token[:length], at=NOON)
    use(session, LinkKind.ACCESS, token, at=NOON)


@both
def test_no_changed_token_works(session: Session, use: Use) -> None:
    """Changing any character voids it, also where the signature's last bits do not count."""
    token = mailed(session, opened(session))
    for place, character in enumerate(token):
        changed = token[:place] + ("B" if character == "A" else "A") + token[place + 1 :]
        with pytest.raises(BadLink):
            use(session, LinkKind.ACCESS, changed, at=NOON)
    for last in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".replace(
        token[-1], ""
    ):
        with pytest.raises(BadLink):
            use(session, LinkKind.ACCESS, token[:-1] + last, at=NOON)


@both
@pytest.mark.parametrize("token", ["", ".", "elg", "æøå", "a.b", "\0", "\ud800.x", "x" * 100_000])
def test_nonsense_is_a_bad_link(session: Session, use: Use, token: str) -> None:
    """Whatever stands in the address, it is no error of the site's."""
    with pytest.raises(BadLink):
        use(session, LinkKind.ACCESS, token, at=NOON)


@both
def test_a_forged_token_is_refused(session: Session, keys: Keyring, use: Use) -> None:
    """Without the signing key no token is made, even for a row that exists."""
    account = opened(session)
    session.info = {**session.info, "keyring": replace(keys, signing_key="x" * 40)}
    token = mailed(session, account)
    assert use(session, LinkKind.ACCESS, mailed(session, account), at=NOON)
    session.info = {**session.info, "keyring": keys}
    with pytest.raises(BadLink):
        use(session, LinkKind.ACCESS, token, at=NOON)


@both
@pytest.mark.requirement(67)
def test_a_link_ends_with_its_hour(session: Session, use: Use) -> None:
    """One that is merely too old says so and says when."""
    token = mailed(session, opened(session))
    with pytest.raises(ExpiredLink) as caught:
        use(session, LinkKind.ACCESS, token, at=NOON + HOUR)
    assert caught.value.expired_at == NOON + HOUR
    use(session, LinkKind.ACCESS, token, at=LAST)


@both
def test_only_a_link_that_could_have_worked_is_called_expired(session: Session, use: Use) -> None:
    """A used or void one stays what it is when its time is past."""
    account = opened(session)
    used = mailed(session, account)
    signed_links.consume(session, LinkKind.ACCESS, used, at=NOON)
    void = mailed(session, account, LinkKind.RESET)
    accounts.change_password(session, account, "new")
    with pytest.raises(UsedLink):
        use(session, LinkKind.ACCESS, used, at=NOON + HOUR)
    with pytest.raises(BadLink):
        use(session, LinkKind.RESET, void, at=NOON + HOUR)


@both
@pytest.mark.requirement(66)
def test_a_newer_link_voids_the_older(session: Session, use: Use) -> None:
    """Only of the same kind and the same person."""
    kari, ola = opened(session), opened(session, OLA)
    older = mailed(session, kari)
    others = mailed(session, ola)
    erasure = mailed(session, kari, LinkKind.ERASURE)
    newer = mailed(session, kari)
    with pytest.raises(BadLink):
        use(session, LinkKind.ACCESS, older, at=NOON)
    for kind, token in (
        (LinkKind.ACCESS, newer),
        (LinkKind.ACCESS, others),
        (LinkKind.ERASURE, erasure),
    ):
        assert use(session, kind, token, at=NOON)


@both
@pytest.mark.requirement(66)
def test_a_changed_password_or_address_voids_links(session: Session, use: Use) -> None:
    """A link that someone else may have seen is worth nothing after either."""
    account = opened(session)
    accounts.request_new_address(session, account, "ny@firma.example", at=NOON)
    for change in (
        lambda: accounts.change_password(session, account, "new"),
        lambda: accounts.take_new_address(session, account.subject_id, at=NOON),
    ):
        token = mailed(session, account)
        change()
        with pytest.raises(BadLink):
            use(session, LinkKind.ACCESS, token, at=NOON)


@both
def test_without_an_account_a_link_is_void(session: Session, use: Use) -> None:
    """Nobody is there to act for."""
    account = opened(session)
    token = mailed(session, account)
    session.delete(account)
    session.flush()
    with pytest.raises(BadLink):
        use(session, LinkKind.ACCESS, token, at=NOON)


def _consume(database: Database, token: str) -> UUID:
    with database.transaction() as session:
        return signed_links.consume(session, LinkKind.ACCESS, token, at=NOON).subject_id


def test_the_second_waits_for_the_first(database: Database) -> None:
    """While one use is not committed, another is neither let through nor refused."""
    with database.transaction() as session:
        token = mailed(session, opened(session))
    with ThreadPoolExecutor(1) as pool:
        with database.transaction() as session:
            signed_links.consume(session, LinkKind.ACCESS, token, at=NOON)
            late = pool.submit(_consume, database, token)
            assert not wait({late}, timeout=0.3).done
        with pytest.raises(UsedLink):
            late.result(timeout=20)


def test_a_use_that_was_rolled_back_was_none(database: Database) -> None:
    """If what the link should do fails, the link can be used again."""
    with database.transaction() as session:
        token = mailed(session, opened(session))
    with pytest.raises(ZeroDivisionError), database.transaction() as session:
        signed_links.consume(session, LinkKind.ACCESS, token, at=NOON)
        raise ZeroDivisionError
    assert _consume(database, token)


@pytest.mark.requirement(66)
def test_of_many_at_once_exactly_one_wins(database: Database) -> None:
    """Eight clicks in eight transactions: one acts."""
    with database.transaction() as session:
        token = mailed(session, opened(session))
    barrier = Barrier(8)

    def click(_: int) -> bool:
        barrier.wait()
        try:
            return bool(_consume(database, token))
        except UsedLink:
            return False

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(click, range(8))) == [False] * 7 + [True]


def test_a_password_that_is_being_changed_voids_a_link_already(database: Database) -> None:
    """A use that begins before the change is committed waits for it, and is refused."""
    with database.transaction() as session:
        account = opened(session)
        token = mailed(session, account)
    with ThreadPoolExecutor(1) as pool:
        with database.transaction() as session:
            accounts.change_password(session, session.get_one(Account, account.id), "new")
            late = pool.submit(_consume, database, token)
            assert not wait({late}, timeout=0.3).done
        with pytest.raises(BadLink):
            late.result(timeout=20)


def test_a_person_who_is_being_erased_needs_no_link(database: Database) -> None:
    """A use that begins before the erasure is committed waits for it, and is refused."""
    with database.transaction() as session:
        account = opened(session)
        token = mailed(session, account)
    with ThreadPoolExecutor(1) as pool:
        with database.transaction() as session:
            subjects.lock(session, account.subject_id)
            for holding in HOLDINGS:
                holding.erase(session, account.subject_id, NOON)
            subjects.forget(session, account.subject_id)
            late = pool.submit(_consume, database, token)
            assert not wait({late}, timeout=0.3).done
        with pytest.raises(BadLink):
            late.result(timeout=20)


def test_of_two_asked_for_at_once_one_lives(database: Database) -> None:
    """Two requests in the same moment leave one link that works."""
    with database.transaction() as session:
        account = opened(session)
    barrier = Barrier(4)

    def ask(_: int) -> None:
        barrier.wait()
        with database.transaction() as session:
            mailed(session, account)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(ask, range(4)))
    with database.reading() as session:
        assert session.scalar(select(func.count()).select_from(SignedLink)) == 1


def test_old_rows_go(session: Session) -> None:
    """By when they expired, used or not; until then one that is asked for says it is too old."""
    account = opened(session)
    token = mailed(session, account)
    signed_links.consume(
        session, LinkKind.ACCESS, mailed(session, account, LinkKind.ACCESS), at=NOON
    )
    token = mailed(session, account)
    signed_links.purge(session, before=NOON + HOUR - timedelta(seconds=1))
    with pytest.raises(ExpiredLink):
        signed_links.look(session, LinkKind.ACCESS, token, at=NOON + HOUR)
    signed_links.purge(session, before=NOON + HOUR)
    assert session.scalar(select(func.count()).select_from(SignedLink)) == 0
