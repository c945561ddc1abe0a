"""The format of an entry: canonical JSON (RFC 8785), nothing about where it is stored.

`{"at", "data", "id", "tag", "type", "v"}`, at most 65,535 bytes. The stored bytes are what is
hashed and verified; an entry is never serialised again to verify it.
"""

from __future__ import annotations

import json
import re
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import rfc8785

from domain.dates import parse_timestamp, timestamp
from domain.ledger.errors import EntryTooLarge, MalformedEntry

VERSION = 1
MAX_BYTES = 65_535
_KEYS = {"at", "data", "id", "tag", "type", "v"}
_ID = re.compile(r"[0-9a-f]{32}")
_TAG = re.compile(r"[0-9a-f]{64}")
_TYPE = re.compile(r"[a-z]+\.[a-z_]+")


@dataclass(frozen=True)
class Entry:
    """A fact in the ledger, about nobody that it could name.

    `at` is a claim by the server's clock, kept in milliseconds: what is finer is cut off, so
    that an entry equals its own copy decoded. `tag` ties it to a subject for whoever has the
    subject's key, and looks random to all others. Raises MalformedEntry.
    """

    id: str
    at: datetime
    type: str
    tag: str
    data: dict[str, Any]

    def __post_init__(self) -> None:
        if not _ID.fullmatch(self.id):
            raise MalformedEntry("id is 32 lower-case hex digits")
        if not _TAG.fullmatch(self.tag):
            raise MalformedEntry("tag is 64 lower-case hex digits")
        if not _TYPE.fullmatch(self.type):
            raise MalformedEntry("type is two words with a dot between")
        if self.at.tzinfo is None:
            raise MalformedEntry("at has no time zone")
        at = self.at.astimezone(UTC)
        milliseconds = at.microsecond // 1000
        object.__setattr__(self, "at", at.replace(microsecond=milliseconds * 1000))

    def encode(self) -> bytes:
        """The canonical bytes. Raises EntryTooLarge, and MalformedEntry where JSON ends."""
        document = {
            "at": timestamp(self.at),
            "data": self.data,
            "id": self.id,
            "tag": self.tag,
            "type": self.type,
            "v": VERSION,
        }
        content = _canonical(document)
        if len(content) > MAX_BYTES:
            raise EntryTooLarge(len(content))
        return content


def decode(content: bytes) -> Entry:
    """Read an entry's bytes; raise MalformedEntry unless they are exactly what `encode` makes."""
    if len(content) > MAX_BYTES:
        raise MalformedEntry("more than 65,535 bytes")
    try:
        document = json.loads(content.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise MalformedEntry("not JSON in UTF-8") from error
    if not isinstance(document, dict) or document.keys() != _KEYS:
        raise MalformedEntry("not the six fields of an entry")
    # Other spellings of the same JSON (white space, order, a field twice, 1.0 for 1) would
    # give one fact several hashes.
    if _canonical(document) != content:
        raise MalformedEntry("not canonical JSON")
    if document["v"] is True or document["v"] != VERSION:
        raise MalformedEntry("an unknown version")
    if not isinstance(document["data"], dict):
        raise MalformedEntry("data is an object")
    texts = [document[name] for name in ("id", "type", "tag", "at")]
    if not all(isinstance(text, str) for text in texts):
        raise MalformedEntry("id, type, tag and at are texts")
    if not is_timestamp(document["at"]):
        raise MalformedEntry("at is a UTC time with milliseconds")
    return Entry(
        id=document["id"],
        at=parse_timestamp(document["at"]),
        type=document["type"],
        tag=document["tag"],
        data=document["data"],
    )


def new_id() -> str:
    """128 random bits, hex."""
    return secrets.token_hex(16)


def is_timestamp(text: str) -> bool:
    """Whether this is a time as entries write it: `2026-11-22T12:00:00.000Z`."""
    try:
        return timestamp(parse_timestamp(text)) == text
    except (ValueError, OverflowError):
        return False


def _canonical(document: dict[str, Any]) -> bytes:
    try:
        # Most entries are plain, and for those the standard library's C arrives at the same bytes.
        return _ENCODER.encode(document).encode() if _plain(document) else rfc8785.dumps(document)
    except (ValueError, RecursionError) as error:
        raise MalformedEntry("not JSON that has a canonical form") from error


_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), sort_keys=True)
# RFC 8785 3.2.2.3: a larger number may be another one to JavaScript.
_EXACT = 2**53 - 1


def _plain(value: Any) -> bool:
    """Whether the standard library writes this as RFC 8785 does: objects with ASCII names, whose
    order is the same by characters and by UTF-16, texts, whole numbers, true, false and null."""
    kind = type(value)
    if kind is str or kind is bool or value is None:
        return True
    if kind is int:
        return bool(-_EXACT <= value <= _EXACT)
    if kind is dict:
        return all(type(key) is str and key.isascii() and _plain(value[key]) for key in value)
    return False
