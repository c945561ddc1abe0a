"""Where the key-encryption keys stand, and how they are written down.

In a file (VAULT_KEY_FILE) a line each, `<epoch> <kind> <value> [<made at>]`:

    1 key <32 bytes in base64> 2026-11-23T00:00:00Z
    2 aws-kms arn:aws:kms:eu-north-1:…:key/… 2027-11-23T00:00:00Z

In the environment (KEY_ENCRYPTION_KEYS) `1:<32 bytes in base64>,2:aws-kms:<id or ARN>`.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import secrets
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import structlog

from domain.keys import KEY_BYTES, Key, KeyServiceAway, MalformedKeys
from domain.kms import KmsKey

LOCAL, KMS = "key", "aws-kms"
LAST = 2**16 - 1

log = structlog.get_logger()


@dataclass(frozen=True)
class Epoch:
    """A key-encryption key, its number, and since when there is one."""

    number: int
    key: bytes | KmsKey = field(repr=False)
    made_at: datetime | None = None

    @property
    def kms(self) -> str | None:
        """The key's name where AWS KMS holds it."""
        return None if isinstance(self.key, bytes) else self.key.name

    def line(self) -> str:
        """How it stands in the file."""
        key, kind = self.key, LOCAL if self.kms is None else KMS
        value = base64.b64encode(key).decode() if isinstance(key, bytes) else key.name
        made = "" if self.made_at is None else f" {self.made_at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
        return f"{self.number} {kind} {value}{made}\n"


def make(number: int, *, at: datetime, kms: str | None = None) -> Epoch:
    """A new one: 32 random bytes, or a key of AWS KMS. Raises MalformedKeys."""
    key = secrets.token_bytes(KEY_BYTES) if kms is None else KmsKey(kms)
    return Epoch(number, key, at)


def parse(text: str) -> list[Epoch]:
    """What a file says; blank lines and those that begin with # say nothing. Raises
    MalformedKeys, which names the line and never quotes it."""
    found = []
    for count, line in enumerate(text.splitlines(), 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        try:
            found.append(_parsed(*words))
        except (MalformedKeys, TypeError) as error:
            told = str(error) if isinstance(error, MalformedKeys) else "<epoch> <kind> <value>"
            raise MalformedKeys(f"line {count}: {told}") from None
    return _checked(found)


def parse_setting(text: str) -> list[Epoch]:
    """What a variable says. Raises MalformedKeys."""
    found = []
    for part in text.split(","):
        number, separator, value = part.strip().partition(":")
        if not separator:
            raise MalformedKeys("takes <epoch>:<32 bytes in base64>[,…]")
        kind, named, name = value.partition(":")
        found.append(_parsed(number, kind, name) if named else _parsed(number, LOCAL, value))
    return _checked(found)


def read(path: Path) -> list[Epoch]:
    """What the file says. Raises MalformedKeys, also where others can read it; OSError."""
    if path.stat().st_mode & 0o077:
        raise MalformedKeys(f"{path} can be read by others; run: chmod 600 {path}")
    try:
        return parse(path.read_text("utf-8"))
    except (MalformedKeys, UnicodeDecodeError) as error:
        told = str(error) if isinstance(error, MalformedKeys) else "this is no text"
        raise MalformedKeys(f"{path}: {told}") from None


def keys(epochs: Iterable[Epoch]) -> dict[int, Key]:
    """The keys by epoch."""
    return {one.number: one.key for one in epochs}


class KeyFile(Mapping[int, Key]):
    """The keys in a file, as they are now: a process that runs need not be told of a new one.

    Whoever asks which there are, as for sealing, has the file looked at, and it is read again if
    it changed. While that fails nobody is told which there are: what is sealed under the newest
    that we know may be under one that is destroyed tomorrow. What is sealed already opens with
    the keys that were read last. Raises MalformedKeys or OSError at first, and KeyServiceAway.
    """

    def __init__(self, path: Path):
        self.path = path
        # One tuple, replaced as a whole: threads need no lock.
        self._read = (_stamp(path), read(path))
        self._keys = keys(self._read[1])
        self._failed: tuple[int, ...] | None = None

    def epochs(self) -> list[Epoch]:
        """All there is to know of them. Raises KeyServiceAway."""
        return self._look()

    def _look(self) -> list[Epoch]:
        stamp = _stamp(self.path)
        before, known = self._read
        if stamp == before:
            return known
        try:
            found = read(self.path)
        except (OSError, MalformedKeys) as error:
            if self._failed != stamp:  # the log is told once
                self._failed = stamp
                log.error("vault_key_file", error=_told(error))
            raise KeyServiceAway(f"{self.path} changed, and cannot be read") from None
        self._read, self._keys, self._failed = (stamp, found), keys(found), None
        log.info("vault_key_file", epochs=[one.number for one in found])
        return found

    def __iter__(self) -> Iterator[int]:
        return iter([one.number for one in self._look()])

    def __len__(self) -> int:
        return len(self._keys)

    def __getitem__(self, epoch: int) -> Key:
        if epoch not in self._keys:
            with suppress(KeyServiceAway):
                self._look()
        return self._keys[epoch]


def _stamp(path: Path) -> tuple[int, ...]:
    """What is another one whenever the file is; empty where there is none."""
    try:
        found = os.stat(path)
    except OSError:
        return ()
    return found.st_ino, found.st_mtime_ns, found.st_ctime_ns, found.st_size


def _told(error: Exception) -> str:
    return f"{error.strerror}" if isinstance(error, OSError) else str(error)


def _parsed(number: str, kind: str, value: str, made_at: str = "") -> Epoch:
    # Only digits: a number with a sign, or of another script, is a slip.
    if not (number.isascii() and number.isdecimal()) or not 0 < int(number) <= LAST:
        raise MalformedKeys(f"an epoch is a number from 1 to {LAST}")
    try:
        made = datetime.fromisoformat(made_at) if made_at else None
    except ValueError:
        raise MalformedKeys("the time is written as 2026-11-23T00:00:00Z") from None
    if made is not None and made.tzinfo is None:
        made = made.replace(tzinfo=UTC)
    if kind == KMS:
        return Epoch(int(number), KmsKey(value), made)
    if kind != LOCAL:
        raise MalformedKeys(f"a key is of the kind {LOCAL} or {KMS}")
    try:
        key = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise MalformedKeys(f"a key is {KEY_BYTES} bytes in base64") from None
    if len(key) != KEY_BYTES:
        raise MalformedKeys(f"a key is {KEY_BYTES} bytes in base64, this has {len(key)}")
    return Epoch(int(number), key, made)


def _checked(found: list[Epoch]) -> list[Epoch]:
    """Sorted. Two epochs of one key would let the old one be destroyed, and the key stay."""
    if not found:
        raise MalformedKeys("there is no key-encryption key")
    epochs: set[int] = set()
    values: dict[str, int] = {}
    for one in found:
        if one.number in epochs:
            raise MalformedKeys(f"epoch {one.number} is there twice")
        epochs.add(one.number)
        same = values.setdefault(_value(one), one.number)
        if same != one.number:
            raise MalformedKeys(f"the epochs {same} and {one.number} have the same key")
    return sorted(found, key=lambda one: one.number)


def _value(one: Epoch) -> str:
    return hashlib.sha256(one.key).hexdigest() if isinstance(one.key, bytes) else one.key.id
