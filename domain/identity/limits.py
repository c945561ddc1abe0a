"""Limits on tries: sliding windows that hold across processes, without keeping an address.

What is kept of a try is a keyed hash of whom it concerned and the time, as long as a window
reaches it: an hour, and a day for requests. A refused try is not counted: who waits until
`retry_at` gets in, however often they tried meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from domain.identity import emails
from domain.identity.errors import InvalidAddress, TooManyTries
from domain.identity.models import Attempt
from domain.keys import keyring


class LimitKind(StrEnum):
    """What is limited: trying a password, asking for a mail, asking for a right by address or from
    the account, asking for the link to a case, pressing the button behind a link, and choosing as
    a visitor.

    Requests are counted apart from other mails: who floods somebody with them must not keep them
    from a new password. Links to cases are counted apart from requests, because they may be about
    nothing; and what is asked from the account apart from what anybody may ask for its address.
    """

    SIGN_IN = "sign_in"
    MAIL = "mail"
    REQUEST = "request"
    OWN = "own"
    FOLLOW = "follow"
    LINK = "link"
    CHOICE = "choice"


@dataclass(frozen=True)
class Limit:
    """At most `tries` in any `window` for the same `scope`."""

    scope: str
    tries: int
    window: timedelta


_QUARTER = timedelta(minutes=15)
_HOUR = timedelta(hours=1)
_DAY = timedelta(days=1)
_EMAIL, _IP, _BOTH, _LINK = "email", "ip", "email+ip", "link"
_HALF = 16  # bytes of a keyed hash: enough to tell all addresses apart

LIMITS = {
    # Guessing at one address from one place is stopped first. The limit on the address alone
    # is wider, so that a stranger at one place cannot keep its owner out.
    LimitKind.SIGN_IN: (
        Limit(_BOTH, 10, _QUARTER),
        Limit(_EMAIL, 50, _QUARTER),
        Limit(_IP, 50, _QUARTER),
    ),
    # Here the address alone counts: it is its owner's inbox that must not be flooded.
    LimitKind.MAIL: (Limit(_EMAIL, 5, _HOUR), Limit(_IP, 30, _HOUR)),
    # Each of the five was a mail with a link that works: nobody is kept from their right by them.
    LimitKind.REQUEST: (Limit(_EMAIL, 5, _DAY), Limit(_IP, 30, _HOUR)),
    # More than anybody asks for in a day, and few enough to read.
    LimitKind.OWN: (Limit(_EMAIL, 20, _DAY), Limit(_IP, 30, _HOUR)),
    LimitKind.FOLLOW: (Limit(_EMAIL, 5, _DAY), Limit(_IP, 30, _HOUR)),
    # Opening a link counts for nothing: scanners do that.
    LimitKind.LINK: (Limit(_LINK, 10, _HOUR), Limit(_IP, 60, _HOUR)),
    # Each may be an entry, which is kept for ever; and many people may come from one place.
    LimitKind.CHOICE: (Limit(_IP, 120, _HOUR),),
}
LONGEST = max(limit.window for limits in LIMITS.values() for limit in limits)


def spend(
    session: Session,
    kind: LimitKind,
    *,
    address: str | None = None,
    ip: str | None = None,
    link: str | None = None,
    at: datetime,
) -> None:
    """Count one try at an address, from an IP, at a link's token, whichever are known; or raise
    TooManyTries and count nothing.

    Call it in a transaction of its own, before the work: what is rolled back was not counted.
    """
    known = _keyed(session, kind, address=address, ip=ip, link=link)
    keyed = sorted(known, key=lambda pair: pair[1])
    _serialise(session, [key for _, key in keyed])
    free = [_free_at(session, kind, limit, key, at) for limit, key in keyed]
    late = [time for time in free if time is not None]
    if late:
        raise TooManyTries(max(late))
    session.add_all(Attempt(kind=kind.value, key=key, at=at) for _, key in keyed)
    session.flush()


def forgive(session: Session, kind: LimitKind, *, address: str, ip: str | None = None) -> None:
    """Forget the tries at an address, because its owner has come (signed in, a new password).

    What was spent by the IP stays: an attacker with an account of their own gains nothing.
    """
    for limit, key in _keyed(session, kind, address=address, ip=ip):
        if limit.scope != _IP:
            session.execute(delete(Attempt).where(Attempt.kind == kind.value, Attempt.key == key))


def tries(session: Session, address: str) -> list[Attempt]:
    """The tries at an address that are still kept, oldest first."""
    keys = [key for kind in LimitKind for _, key in _keyed(session, kind, address=address)]
    statement = select(Attempt).where(Attempt.key.in_(keys)).order_by(Attempt.at, Attempt.id)
    return list(session.scalars(statement))


def forget(session: Session, address: str) -> None:
    """Delete every try at an address, from wherever it came (erasure)."""
    for kind in LimitKind:
        of_address = _lookup(session, kind, _EMAIL, _spelled(address))[:_HALF]
        first, last = of_address + b"\x00" * _HALF, of_address + b"\xff" * _HALF
        session.execute(delete(Attempt).where(Attempt.key.between(first, last)))


def purge(session: Session, *, at: datetime) -> None:
    """Delete the tries that no window reaches any more."""
    for kind, limits in LIMITS.items():
        longest = max(limit.window for limit in limits)
        session.execute(
            delete(Attempt).where(Attempt.kind == kind.value, Attempt.at <= at - longest)
        )


def _free_at(
    session: Session, kind: LimitKind, limit: Limit, key: bytes, at: datetime
) -> datetime | None:
    """When the limit lets the next try through; None when that is now."""
    statement = (
        select(Attempt.at)
        .where(Attempt.kind == kind.value, Attempt.key == key, Attempt.at > at - limit.window)
        .order_by(Attempt.at.desc())
        .limit(limit.tries)
    )
    newest = list(session.scalars(statement))
    return newest[-1] + limit.window if len(newest) == limit.tries else None


def _keyed(
    session: Session,
    kind: LimitKind,
    *,
    address: str | None = None,
    ip: str | None = None,
    link: str | None = None,
) -> Iterator[tuple[Limit, bytes]]:
    """The limits that apply to what is known of a try, each with its keyed hash."""
    values = {}
    if address is not None:
        values[_EMAIL] = _spelled(address)
    if ip is not None:
        values[_IP] = _network(ip)
    if link is not None:
        values[_LINK] = link
    if address is not None and ip is not None:
        values[_BOTH] = f"{values[_EMAIL]} {values[_IP]}"
    for limit in LIMITS[kind]:
        if limit.scope in values:
            key = _lookup(session, kind, limit.scope, values[limit.scope])
            if limit.scope == _BOTH:
                # It begins as the address's own, so that erasure finds it without the IP.
                key = _lookup(session, kind, _EMAIL, values[_EMAIL])[:_HALF] + key[:_HALF]
            yield limit, key


def _lookup(session: Session, kind: LimitKind, scope: str, value: str) -> bytes:
    return keyring(session).lookup(f"attempt.{kind.value}", f"{scope}:{value}")


def _spelled(address: str) -> str:
    try:
        return emails.normalise(address)
    except InvalidAddress:
        return address.strip().casefold()


def _network(ip: str) -> str:
    """What counts as one place: an IPv4 address, or a /64 of IPv6, which is one subscriber's."""
    try:
        place: IPv4Address | IPv6Address = ip_address(ip)
    except ValueError:
        return ip
    if isinstance(place, IPv6Address) and place.ipv4_mapped is not None:
        place = place.ipv4_mapped
    return str(ip_network((place, 64 if place.version == 6 else 32), strict=False))


def _serialise(session: Session, keys: list[bytes]) -> None:
    """Let tries at the same thing wait for each other until the transaction ends, so that many
    at once cannot all see the last free place. In the order of the keys: no deadlock.
    SQLite's writers wait for each other anyway."""
    if session.get_bind().dialect.name == "postgresql":
        for key in keys:
            number = int.from_bytes(key[:8], "big", signed=True)
            session.execute(select(func.pg_advisory_xact_lock(number)))
