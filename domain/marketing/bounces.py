"""What comes back: mails that could not be delivered (RFC 3464), and mails that unsubscribe.

Anybody can send us such a mail. So a report counts only if it proves to be about a newsletter to
that very person, by the unsubscribe token in what it returns; and only for the address that the
account has now. Of other mails nothing is kept that would prove it (docs/operations.md).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from email import message_from_bytes, message_from_string
from email.header import decode_header, make_header
from email.message import Message
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from domain.identity import accounts
from domain.keys import Keyring, keyring
from domain.marketing import tokens
from domain.marketing.errors import BadToken
from domain.marketing.tokens import Unsubscribing

# A report holds at most what we sent, and that is less.
LONGEST = 1024 * 1024
# So much of one is read: what it says of recipients, and the header of what it returns, stand
# before the words that we sent. `email` takes the square of a header's length, and half an hour
# for a megabyte of semicolons.
_READ = 32 * 1024
# No mail server tries for so long; after that, who kept a newsletter cannot make up a report of it.
_LATEST = timedelta(days=30)
_STATUS = re.compile(r"(?<![\d.])([245])\.(\d{1,3}\.\d{1,3})(?![\d.])")
# Subject and detail of RFC 3463 that say that the address is no good, and not that a mail was too
# large, a mailbox full, or a sender unwelcome: our own mistake must not cost people their
# newsletter. Those of 4 and 5 are what Microsoft's servers say of mailboxes that are not there.
_FINAL = frozenset(
    {
        *("0.0", "1.0", "1.1", "1.2", "1.3", "1.4", "1.5", "1.6", "1.9", "1.10", "2.1"),
        *("4.1", "4.4", "4.310", "5.0"),
    }
)
_UNSUBSCRIBE = re.compile(rf"\bunsubscribe\s+({tokens.PATTERN})(?![\w-])", re.IGNORECASE)
_LINK = re.compile(rf"/unsubscribe/({tokens.PATTERN})(?![\w-])")


@dataclass(frozen=True, repr=False)
class Failure:
    """One recipient whom a mail did not reach: by the addresses that the report names, with its
    status, and with the newsletter's token. `trusted` is what the operator's own mail service says,
    which needs no proof. Its repr shows no address."""

    addresses: tuple[str, ...]
    status: str
    token: str | None = None
    trusted: bool = False


def final(status: str) -> bool:
    """Whether a status (RFC 3463) says that the address fails for good."""
    found = _STATUS.fullmatch(status)
    return found is not None and found[1] == "5" and found[2] in _FINAL


def unsubscribing(ring: Keyring, raw: bytes) -> Unsubscribing | None:
    """What a mail asks for whose subject is `unsubscribe <token>`; None for any other mail."""
    try:
        subject = str(make_header(decode_header(str(_parsed(raw)["Subject"] or ""))))
        found = _UNSUBSCRIBE.search(subject)
        return tokens.read(ring, found[1]) if found else None
    except BadToken:
        return None
    except Exception:
        return None  # whatever a stranger's mail does to the parser: somebody looks at it


def failures(raw: bytes) -> list[Failure]:
    """The recipients that a delivery report says were not reached; none in any other mail."""
    try:
        return list(_reported(_parsed(raw)))
    except Exception:
        return []  # as above


def told(line: str) -> list[Failure]:
    """The same of a line of JSON from the operator's mail service: Amazon SES, with or without SNS
    around it, or `{"recipient": …, "status": "5.1.1"}`."""
    try:
        said = json.loads(line)
        if isinstance(said.get("Message"), str):  # as SNS wraps it
            said = json.loads(said["Message"])
        return list(_told(said))
    except (ValueError, TypeError, AttributeError, KeyError, RecursionError):
        return []


def note(session: Session, failure: Failure, *, at: datetime) -> bool:
    """Write no more, unasked, to the address of an account that failed for good; False where the
    report is of something else, or proves nothing."""
    if not final(failure.status):
        return False
    proved = None if failure.trusted else _proved(session, failure, at)
    for address in failure.addresses:
        account = accounts.find(session, address)
        if account is not None and (failure.trusted or account.subject_id == proved):
            accounts.mark_undeliverable(session, account.subject_id, failure.status, at=at)
            return True
    return False


def _parsed(raw: bytes) -> Message:
    return message_from_bytes(raw[:_READ])


def _proved(session: Session, failure: Failure, at: datetime) -> UUID | None:
    """To whom the newsletter was that came back."""
    try:
        told = tokens.read(keyring(session), failure.token or "")
    except BadToken:
        return None
    return told.subject_id if at - told.made_at <= _LATEST else None


def _reported(mail: Message) -> Iterator[Failure]:
    if mail.get_content_type() != "multipart/report" or not mail.is_multipart():
        return
    parts: list[Message] = mail.get_payload()  # type: ignore[assignment]
    returned = _returned(parts)
    token = _LINK.search(str(returned["List-Unsubscribe"] or "")) if returned else None
    for part in parts:
        if part.get_content_type() == "message/delivery-status" and part.is_multipart():
            for block in part.get_payload():
                if isinstance(block, Message) and _word(block["Action"]) == "failed":
                    found = _STATUS.search(str(block["Status"] or ""))
                    yield Failure(
                        addresses=tuple(_addresses(block)),
                        status=found[0] if found else "",
                        token=token[1] if token else None,
                    )


def _returned(parts: list[Message]) -> Message | None:
    """The header of the mail that came back, which stands last."""
    for part in parts[1:]:
        kind, content = part.get_content_type(), part.get_payload()
        if kind == "message/rfc822" and isinstance(content, list) and content:
            first = content[0]
            return first if isinstance(first, Message) else None
        if kind in ("text/rfc822-headers", "message/rfc822-headers"):
            if isinstance(content, list):
                return content[0] if isinstance(content[0], Message) else None
            decoded = part.get_payload(decode=True)
            text = decoded.decode("latin-1") if isinstance(decoded, bytes) else ""
            return message_from_string(text)
    return None


def _addresses(block: Message) -> Iterator[str]:
    """Whom it was sent to at first, then whom it was sent on to: `rfc822; kari@kunde.example`."""
    for name in ("Original-Recipient", "Final-Recipient"):
        kind, _, address = str(block[name] or "").partition(";")
        if _word(kind) == "rfc822":
            yield address.strip().removeprefix("<").removesuffix(">")


def _word(text: object) -> str:
    words = str(text or "").split()
    return words[0].casefold() if words else ""


def _told(said: dict[str, Any]) -> Iterator[Failure]:
    if isinstance(said.get("recipient"), str):
        yield Failure((said["recipient"],), str(said["status"]), trusted=True)
        return
    if "Bounce" not in (said.get("notificationType"), said.get("eventType")):
        return
    bounce = said["bounce"]
    for one in bounce["bouncedRecipients"]:
        # A bounce that Amazon calls permanent has not always a status.
        status = one.get("status") or "5.0.0"
        if bounce["bounceType"] == "Permanent":
            yield Failure((str(one["emailAddress"]),), str(status), trusted=True)
