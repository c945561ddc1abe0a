"""Errors of identity. None carries a name, an e-mail address, a phone number or an IP."""

from __future__ import annotations

from datetime import date, datetime


class IdentityError(Exception):
    """Base of this package's errors."""


class InvalidAddress(IdentityError):
    """The text is no e-mail address that mail can be sent to."""

    def __init__(self) -> None:
        super().__init__("this is no e-mail address")


class InvalidPhone(IdentityError):
    """The text is no telephone number."""

    def __init__(self) -> None:
        super().__init__("this is no telephone number")


class AddressTaken(IdentityError):
    """Another account has this e-mail address. Nothing was changed."""

    def __init__(self) -> None:
        super().__init__("another account has this address")


class UnknownAccount(IdentityError):
    """The subject has no account (any more)."""

    def __init__(self) -> None:
        super().__init__("the subject has no account")


class BadLink(IdentityError):
    """The link does not hold: forged, of another kind, superseded, used or void."""

    def __init__(self) -> None:
        super().__init__("the link does not hold")


class UsedLink(BadLink):
    """The link was good, once."""


class ExpiredLink(IdentityError):
    """A genuine, unused link whose time is past. It is the only one that a new one follows."""

    def __init__(self, expired_at: datetime, kind: str) -> None:
        super().__init__(f"the link expired at {expired_at.isoformat()}")
        self.expired_at = expired_at
        self.kind = kind


class TooManyTries(IdentityError):
    """The limit is reached. `retry_at` is when the next try is free again."""

    def __init__(self, retry_at: datetime) -> None:
        super().__init__(f"too many tries until {retry_at.isoformat()}")
        self.retry_at = retry_at


class AlreadySubscribed(IdentityError):
    """A subscription of this person runs. There is one at a time."""

    def __init__(self) -> None:
        super().__init__("a subscription runs already")


class BadPeriod(IdentityError):
    """A subscription does not end before it starts, or start before the last one ended."""

    def __init__(self, day: date) -> None:
        super().__init__(f"the subscriptions of this person do not go with {day.isoformat()}")
        self.day = day
