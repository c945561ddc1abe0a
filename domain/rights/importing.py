"""Taking over what a person brings from another controller (GDPR art. 20).

The file is what that controller made (docs/portability.md), so it is read as anything that
strangers send: bounded, strictly, and with nothing of it in an error message. What comes of it is
an account that nobody enters until the person has followed the link to their address, chosen a
password and accepted the terms. Their consents and subscriptions were with another, and are kept as
what they brought: those permit nothing, and these neither make a customer here nor end one.
"""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from domain.dates import parse_timestamp
from domain.identity import accounts, emails, phones
from domain.identity.accounts import Person
from domain.identity.errors import AddressTaken, InvalidAddress, InvalidPhone
from domain.rights import arriving, brought, portability, shape
from domain.rights.errors import BadImport

# More than anybody wrote or chose in a life, and little enough to read at once.
MOST_BYTES = 10 * 1024 * 1024
_MOST_MEMBERS = 100
# What a broken ZIP, or one made to break its readers, raises.
_BROKEN = (
    *(zipfile.BadZipFile, zlib.error, EOFError),
    *(ValueError, NotImplementedError, RuntimeError),
)
# How the members of our own ZIP are packed. The readers of other ways raise what they like.
_PACKED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
# What has no place of its own here.
_BROUGHT = ("schema", "made_at", "controller", "subscriptions", "choices", "messages")


def read(content: bytes) -> dict[str, Any]:
    """The document of a file: JSON, or a ZIP with a portability.json in it. Raises BadImport."""
    if len(content) > MOST_BYTES:
        raise BadImport(f"the file is larger than {MOST_BYTES} bytes")
    if content.startswith(b"PK"):
        content = _unpacked(content)
    try:
        # A number that no float holds, or one of 10,000 digits, is refused here as well.
        document: dict[str, Any] = json.loads(
            content.decode("utf-8-sig"), object_pairs_hook=_once, parse_constant=_no_constant
        )
    except (ValueError, RecursionError):
        raise BadImport("the file is not JSON, or has a name twice") from None
    try:
        shape.check(portability.schema(), document)
        json.dumps(document, ensure_ascii=False).encode()  # half a character is none
        _check_times(document)
    except shape.Misshapen as error:
        raise BadImport(f"the document is not as its schema says: {error}") from None
    except ValueError:
        raise BadImport("the document has a time or a character that does not exist") from None
    return document


def take_over(
    session: Session, document: Mapping[str, Any], *, least_age: int, at: datetime
) -> UUID:
    """Open the account of the person in a document that `read` made, and mail them a link with
    which they make it theirs; return the subject.

    The link works as long as an unconfirmed account stays. Raises BadImport; also for an address
    that has an account, in words that fit more than that.
    """
    person, age = _person(document["person"]), document["declared_age"]
    _check_periods(document["subscriptions"])
    if age is None or age < least_age:
        raise BadImport(f"who has an account here says to be {least_age} or older")
    try:
        account = accounts.bring(
            session, person, locale=document["language"], declared_age=age, at=at
        )
    except AddressTaken:
        raise BadImport("no account can be opened for this person; ask them to sign in") from None
    kept = {name: document[name] for name in _BROUGHT}
    brought.keep(session, account.subject_id, kept, at=at)
    arriving.invite(session, account, at=at)
    return account.subject_id


def _unpacked(content: bytes) -> bytes:
    """The one member of a ZIP that counts. What it says of its size is not believed."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as file:
            names = file.namelist()
            if len(names) > _MOST_MEMBERS or names.count(portability.MEMBER) != 1:
                raise BadImport(f"the ZIP has no {portability.MEMBER}, or too much beside it")
            if file.getinfo(portability.MEMBER).compress_type not in _PACKED:
                raise BadImport(f"{portability.MEMBER} is packed otherwise than stored or deflated")
            with file.open(portability.MEMBER) as member:
                found = member.read(MOST_BYTES + 1)
    except _BROKEN:
        raise BadImport("the ZIP is broken, or locked with a password") from None
    if len(found) > MOST_BYTES:
        raise BadImport(f"{portability.MEMBER} is larger than {MOST_BYTES} bytes")
    return found


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Two readers of a document with a name twice need not read the same."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name stands there twice")
    return found


def _no_constant(word: str) -> Any:
    raise ValueError(f"{word} is not JSON")


def _check_times(document: Mapping[str, Any]) -> None:
    parse_timestamp(document["made_at"])
    for field, name in (("choices", "at"), ("messages", "written_at")):
        for one in document[field]:
            parse_timestamp(one[name])


def _person(told: Mapping[str, str | None]) -> Person:
    """As the form of the site would take it. Raises BadImport, which names the field."""
    for field, text in told.items():
        if text and (not text.isprintable() or text != text.strip()):
            raise BadImport(f"{field} has blanks at its ends, or what is no character to read")
    if not told["name"]:
        raise BadImport("the document has no name; an account has one")
    try:
        emails.normalise(str(told["email"]))
    except InvalidAddress:
        raise BadImport("email is no address that mail can be sent to") from None
    try:
        phone = phones.normalise(told["phone"]) if told["phone"] else None
    except InvalidPhone:
        raise BadImport("phone is no telephone number") from None
    return Person(
        name=told["name"],
        email=str(told["email"]),
        phone=phone,
        address=told["address"] or None,
        postal_code=told["postal_code"] or None,
        city=told["city"] or None,
    )


def _check_periods(found: list[dict[str, Any]]) -> None:
    """Raise BadImport where one ends before it starts. Those of several controllers may overlap."""
    for one in found:
        if one["ended_on"] and date.fromisoformat(one["ended_on"]) < date.fromisoformat(
            one["started_on"]
        ):
            raise BadImport("a subscription ends before it starts")
