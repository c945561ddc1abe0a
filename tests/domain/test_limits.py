"""Limits: they stop guessing and floods, across processes, and never for long."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from database import Database
from domain.identity import limits
from domain.identity.errors import TooManyTries
from domain.identity.limits import LIMITS, LONGEST, LimitKind
from domain.identity.models import Attempt
from tests.support import NOON

KARI, IP = "kari@firma.example", "192.0.2.7"
MINUTE = timedelta(minutes=1)


def _count(session: Session) -> int | None:
    return session.scalar(select(func.count()).select_from(Attempt))


@pytest.mark.requirement(72)
def test_the_eleventh_try_waits(session: Session) -> None:
    """Ten tries in a quarter of an hour; the next is free when the first is that old."""
    for minute in range(10):
        limits.spend(session, LimitKind.SIGN_IN, address=KARI, ip=IP, at=NOON + minute * MINUTE)
    with pytest.raises(TooManyTries) as caught:
        limits.spend(session, LimitKind.SIGN_IN, address=KARI, ip=IP, at=NOON + 14 * MINUTE)
    assert caught.value.retry_at == NOON + 15 * MINUTE
    limits.spend(session, LimitKind.SIGN_IN, address=KARI, ip=IP, at=caught.value.retry_at)


def test_who_keeps_trying_is_not_locked_out_for_ever(session: Session) -> None:
    """A refused try is not counted: the end does not move."""
    for _ in range(10):
        limits.spend(session, LimitKind.SIGN_IN, address=KARI, ip=IP, at=NOON)
    before = _count(session)
    for second in range(60):
        with pytest.raises(TooManyTries) as caught:
            at = NOON + timedelta(seconds=second)
            limits.spend(session, LimitKind.SIGN_IN, address=KARI, ip=IP, at=at)
        assert caught.value.retry_at == NOON + 15 * MINUTE
    assert _count(session) == before


@pytest.mark.requirement(72)
def test_a_stranger_elsewhere_does_not_keep_the_owner_out(session: Session) -> None:
    """Guessing from one place closes that place only."""
    with pytest.raises(TooManyTries):
        for _ in range(100):
            limits.spend(session, LimitKind.SIGN_IN, address=KARI, ip="198.51.100.1", at=NOON)
    limits.spend(session, LimitKind.SIGN_IN, address=KARI, ip=IP, at=NOON)


def test_guessing_from_many_places_is_stopped(session: Session) -> None:
    """An address takes fifty tries in a quarter of an hour, wherever they come from."""
    for place in range(50):
        limits.spend(session, LimitKind.SIGN_IN, address=KARI, ip=f"198.51.100.{place}", at=NOON)
    with pytest.raises(TooManyTries):
        limits.spend(session, LimitKind.SIGN_IN, address=KARI, ip=IP, at=NOON)
    limits.spend(session, LimitKind.SIGN_IN, address="ola@firma.example", ip=IP, at=NOON)


def test_guessing_at_many_addresses_is_stopped(session: Session) -> None:
    """A place has fifty tries in a quarter of an hour, whosever account it is."""
    for number in range(50):
        limits.spend(session, LimitKind.SIGN_IN, address=f"p{number}@x.example", ip=IP, at=NOON)
    with pytest.raises(TooManyTries):
        limits.spend(session, LimitKind.SIGN_IN, address=KARI, ip=IP, at=NOON)


@pytest.mark.requirement(72)
def test_an_inbox_gets_five_mails_an_hour(session: Session) -> None:
    """Wherever they are asked for; signing in is counted apart."""
    for place in range(5):
        limits.spend(session, LimitKind.MAIL, address=KARI, ip=f"198.51.100.{place}", at=NOON)
    with pytest.raises(TooManyTries) as caught:
        limits.spend(session, LimitKind.MAIL, address=KARI.upper(), ip=IP, at=NOON + MINUTE)
    assert caught.value.retry_at == NOON + timedelta(hours=1)
    limits.spend(session, LimitKind.SIGN_IN, address=KARI, ip=IP, at=NOON)


def test_a_refused_try_counts_nowhere(session: Session) -> None:
    """Where one limit refuses, the others are not spent."""
    for _ in range(5):
        limits.spend(session, LimitKind.MAIL, address=KARI, ip=IP, at=NOON)
    for _ in range(100):
        with pytest.raises(TooManyTries):
            limits.spend(session, LimitKind.MAIL, address=KARI, ip=IP, at=NOON)
    limits.spend(session, LimitKind.MAIL, address="ola@firma.example", ip=IP, at=NOON)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("192.0.2.7", "::ffff:192.0.2.7", True),
        ("192.0.2.7", "192.0.2.8", False),
        ("unknown", "unknown", True),
    ],
)
def test_what_counts_as_one_place(session: Session, one: str, other: str, same: bool) -> None:
    """A subscriber has a whole /64 of IPv6: it counts as one, like an IPv4 address."""
    for number in range(30):
        limits.spend(session, LimitKind.MAIL, address=f"p{number}@x.example", ip=one, at=NOON)
    try:
        limits.spend(session, LimitKind.MAIL, address=KARI, ip=other, at=NOON)
    except TooManyTries:
        assert same
    else:
        assert not same


def test_a_try_can_lack_either(session: Session) -> None:
    """What is not known is not limited; text that is no address is limited all the same."""
    limits.spend(session, LimitKind.MAIL, ip=IP, at=NOON)
    for _ in range(5):
        limits.spend(session, LimitKind.MAIL, address="no address", at=NOON)
    with pytest.raises(TooManyTries):
        limits.spend(session, LimitKind.MAIL, address=" No Address", at=NOON)


def test_the_owner_who_came_in_starts_afresh(session: Session) -> None:
    """Tries at the address are forgotten; what the place has spent stays spent."""
    for _ in range(10):
        limits.spend(session, LimitKind.SIGN_IN, address=KARI, ip=IP, at=NOON)
    limits.forgive(session, LimitKind.SIGN_IN, address=KARI, ip=IP)
    assert _count(session) == 10
    for _ in range(10):
        limits.spend(session, LimitKind.SIGN_IN, address=KARI, ip=IP, at=NOON)
    assert limits.tries(session, KARI)
    for number in range(30):
        limits.spend(session, LimitKind.SIGN_IN, address=f"p{number}@x.example", ip=IP, at=NOON)
    with pytest.raises(TooManyTries):
        limits.spend(session, LimitKind.SIGN_IN, address="q@x.example", ip=IP, at=NOON)


@pytest.mark.requirement(72)
def test_many_at_once_do_not_exceed_the_limit(database: Database) -> None:
    """Sixteen tries in sixteen transactions at the same moment: ten are let through."""
    barrier = Barrier(16)

    def attempt(_: int) -> bool:
        barrier.wait()
        try:
            with database.transaction() as session:
                limits.spend(session, LimitKind.SIGN_IN, address=KARI, ip=IP, at=NOON)
        except TooManyTries:
            return False
        return True

    with ThreadPoolExecutor(16) as pool:
        assert sum(pool.map(attempt, range(16))) == 10


def test_neither_address_nor_ip_is_kept(session: Session) -> None:
    """A row is a keyed hash and a time; the same address has another one for each use."""
    limits.spend(session, LimitKind.SIGN_IN, address=KARI, ip=IP, at=NOON)
    limits.spend(session, LimitKind.MAIL, address=KARI, ip=IP, at=NOON)
    rows = repr(session.execute(text("SELECT * FROM attempt")).all())
    assert "kari" not in rows
    assert IP not in rows
    keys = list(session.scalars(select(Attempt.key)))
    assert len(set(keys)) == len(keys) == 5


DAILY = {LimitKind.REQUEST, LimitKind.OWN, LimitKind.FOLLOW}


def test_rows_go_with_the_window_that_looks_at_them(session: Session) -> None:
    """Nothing is kept that no limit of its kind looks at, and nothing for more than a day."""
    for kind in LimitKind:
        limits.spend(session, kind, address=KARI, ip=IP, link="t0ken", at=NOON)
    before = _count(session) or 0
    hour, second = timedelta(hours=1), timedelta(seconds=1)
    limits.purge(session, at=NOON + hour - second)
    assert _count(session) == before - 3  # signing in
    limits.purge(session, at=NOON + hour)
    assert {one.kind for one in session.scalars(select(Attempt))} == DAILY
    limits.purge(session, at=NOON + LONGEST)
    assert _count(session) == 0


def test_no_window_is_longer_than_a_day() -> None:
    """The notice promises 24 hours; and but for requests nobody waits for more than an hour."""
    longest = {kind: max(one.window for one in found) for kind, found in LIMITS.items()}
    assert {longest.pop(kind) for kind in DAILY} == {LONGEST} == {timedelta(days=1)}
    assert max(longest.values()) <= timedelta(hours=1)


@pytest.mark.requirement(72)
def test_a_flood_of_requests_is_a_handful_of_mails_a_day(session: Session) -> None:
    """Wherever they come from; and it delays neither a new password nor signing in."""
    for place in range(5):
        limits.spend(session, LimitKind.REQUEST, address=KARI, ip=f"198.51.100.{place}", at=NOON)
    for hours in (0, 1, 23):
        with pytest.raises(TooManyTries):
            at = NOON + timedelta(hours=hours)
            limits.spend(session, LimitKind.REQUEST, address=KARI, ip=IP, at=at)
    for other in (LimitKind.MAIL, LimitKind.SIGN_IN):
        limits.spend(session, other, address=KARI, ip=IP, at=NOON)
    limits.spend(session, LimitKind.REQUEST, address=KARI, ip=IP, at=NOON + timedelta(days=1))


@pytest.mark.requirement(72)
def test_a_link_takes_ten_tries_an_hour_and_a_place_sixty(session: Session) -> None:
    """Whoever tries it, and whatever else the place has tried; nothing tells which link it was."""
    for place in range(10):
        limits.spend(session, LimitKind.LINK, link="t0ken", ip=f"198.51.100.{place}", at=NOON)
    with pytest.raises(TooManyTries):
        limits.spend(session, LimitKind.LINK, link="t0ken", ip=IP, at=NOON)
    for number in range(60):
        limits.spend(session, LimitKind.LINK, link=f"other {number}", ip=IP, at=NOON)
    with pytest.raises(TooManyTries):
        limits.spend(session, LimitKind.LINK, link="one more", ip=IP, at=NOON)
    assert "t0ken" not in repr(session.execute(text("SELECT * FROM attempt")).all())
