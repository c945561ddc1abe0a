"""What can go wrong with a message. None of it quotes an address or a server's words."""

from __future__ import annotations

from uuid import UUID


class DeliveryError(Exception):
    """Base of this package's errors."""


class UnknownKind(DeliveryError):
    """A kind is `mail.<name>` or `intake.<name>`, and somebody must know the name."""

    def __init__(self, kind: str):
        super().__init__(f"nobody delivers {kind!r}")
        self.kind = kind


class UnknownMessage(DeliveryError):
    """There is no such message in the outbox, or nothing of it is left to send."""

    def __init__(self, message: UUID):
        super().__init__(f"no message {message}")
        self.message = message


class NotDead(DeliveryError):
    """Only a dead message is sent again by hand: any other is on its way or done."""

    def __init__(self, message: UUID, state: str):
        super().__init__(f"message {message} is {state}, not dead")
        self.message = message
        self.state = state


class Unwanted(DeliveryError):
    """Raised by whoever renders or runs a message: it is not permitted any more, drop it.

    `reason` is a word of ours that is stored with the message.
    """

    def __init__(self, reason: str):
        super().__init__(reason)
        self.reason = reason


class NotYet(DeliveryError):
    """Raised by whoever renders or runs a message: what it needs is not there yet, and will be in
    a moment. No failed try: the message is put off for a second."""


class TransportError(DeliveryError):
    """The mail was not taken. `failure` is a class or a code, fit to be stored and logged;
    `status` is the server's own (RFC 3463), where it gave one."""

    def __init__(self, failure: str, status: str | None = None):
        super().__init__(failure)
        self.failure = failure
        self.status = status


class TryLater(TransportError):
    """It may well work another time."""


class Refused(TransportError):
    """The server will never take this mail for this recipient: another try is a nuisance."""


class NoMailbox(Refused):
    """The server says that nobody reads mail at this address."""


class Away(TransportError):
    """No server, or one that takes mail from nobody now: this mail is no worse than any other."""


class Unanswered(TransportError):
    """The mail was given whole, and no answer came: nobody knows whether it was taken."""


class BadMailUrl(DeliveryError):
    """MAIL_URL says nothing that we can send by. The message holds no password."""
