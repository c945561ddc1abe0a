"""A key-encryption key that AWS KMS holds and never gives out.

KMS makes a data key for each value (GenerateDataKey) and opens it again (Decrypt), both only for
the context that the value is bound to. The value itself is sealed here, so it may have any size:
`length (2 bytes) ‖ wrapped data key ‖ nonce ‖ AES-256-GCM ciphertext`.

Data keys that were used a moment ago are remembered for a minute, a thousand at most: one page
opens the same person's key several times. So a key that is disabled in KMS may go on opening these
for a minute. boto3 is loaded only where a setting names a KMS key: it takes 35 MB.
"""

from __future__ import annotations

import hashlib
import re
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from time import monotonic
from typing import Any

from domain.keys import KeyRefused, KeyServiceAway, MalformedKeys, WrongSeal, seal, unseal

REMEMBERED_SECONDS, REMEMBERED_MOST = 60.0, 1000
# A request waits for it. boto3's own defaults are a minute, five times.
_CONNECT_SECONDS, _READ_SECONDS, _TRIES = 2, 3, 2
_LENGTH_BYTES = 2

_UUID = r"(mrk-)?[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}"
_NAME = re.compile(rf"(arn:aws[a-z-]*:kms:[a-z0-9-]+:\d{{12}}:key/)?{_UUID}")
# Another context, another key, or bytes that KMS never made.
_NOT_SEALED_SO = ("InvalidCiphertextException", "IncorrectKeyException")
_LATER = (
    "ThrottlingException",
    "RequestLimitExceeded",
    "LimitExceededException",
    "DependencyTimeoutException",
    "KeyUnavailableException",
    "KMSInternalException",
    "ServiceUnavailableException",
)


@dataclass(frozen=True)
class KmsKey:
    """The key of this id or ARN. No alias: it may be moved to another key, and then nothing that
    was sealed before would open."""

    name: str

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise MalformedKeys("aws-kms takes the id or the ARN of a key, not an alias")

    @property
    def id(self) -> str:
        """What tells it from other keys, however it is named."""
        return self.name.rpartition("/")[2]

    def seal(self, plaintext: bytes, context: bytes) -> bytes:
        """Encrypt; the result is bound to `context`. Raises KeyServiceError."""
        answer = _ask(
            self.name,
            "generate_data_key",
            KeySpec="AES_256",
            EncryptionContext=encryption_context(context),
        )
        key: bytes = answer["Plaintext"]
        wrapped: bytes = answer["CiphertextBlob"]
        _recent.put((self.name, wrapped, context), key)
        length = len(wrapped).to_bytes(_LENGTH_BYTES, "big")
        return length + wrapped + seal(key, plaintext, context)

    def unseal(self, sealed: bytes, context: bytes) -> bytes:
        """Open what `seal` made. Raises WrongSeal or KeyServiceError."""
        end = _LENGTH_BYTES + int.from_bytes(sealed[:_LENGTH_BYTES], "big")
        wrapped = sealed[_LENGTH_BYTES:end]
        if not wrapped or len(sealed) <= end:
            raise WrongSeal
        place = (self.name, wrapped, context)
        key = _recent.get(place)
        if key is None:
            key = self._opened(wrapped, context)
            _recent.put(place, key)
        return unseal(key, sealed[end:], context)

    def _opened(self, wrapped: bytes, context: bytes) -> bytes:
        answer = _ask(
            self.name,
            "decrypt",
            CiphertextBlob=wrapped,
            EncryptionContext=encryption_context(context),
        )
        key: bytes = answer["Plaintext"]
        return key


def encryption_context(context: bytes) -> Mapping[str, str]:
    """What KMS binds a data key to. CloudTrail writes it down and keeps it, so it has a hash of
    what the value belongs to, and no id."""
    kind = context.partition(b":")[0].decode("ascii", "backslashreplace")
    return {"samtykke": kind, "of": hashlib.sha256(context).hexdigest()}


def client() -> Any:
    """This process's connection; where and as whom, boto3 reads from its own environment."""
    with _making:  # threads may share a connection, and not the making of it
        return _client()


@cache
def _client() -> Any:
    import boto3
    from botocore.config import Config

    config = Config(
        connect_timeout=_CONNECT_SECONDS,
        read_timeout=_READ_SECONDS,
        retries={"total_max_attempts": _TRIES, "mode": "standard"},
    )
    return boto3.client("kms", config=config)


def _ask(name: str, operation: str, **values: object) -> Mapping[str, Any]:
    """KMS's own words are not repeated: they name accounts and roles."""
    from botocore import exceptions

    try:
        answer: Mapping[str, Any] = getattr(client(), operation)(KeyId=name, **values)
        return answer
    except exceptions.ClientError as error:
        told = error.response.get("Error", {}).get("Code", "unknown")
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        if told in _NOT_SEALED_SO:
            raise WrongSeal from None
        later = told in _LATER or status >= 500
    except exceptions.BotoCoreError as error:
        told = type(error).__name__
        away = (exceptions.ConnectionError, exceptions.HTTPClientError)
        later = isinstance(error, away)
    doing = f"AWS KMS, {operation} with the key {name}"
    if later:
        raise KeyServiceAway(f"{doing}: no answer that helps ({told}); it is worth another try")
    raise KeyRefused(
        f"{doing}: refused ({told}). Look at the key's state and policy, at what this process may"
        " do, and at its region and credentials"
    )


class _Recent:
    """Data keys of the last minute, in memory only."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, bytes, bytes], tuple[float, bytes]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, place: tuple[str, bytes, bytes]) -> bytes | None:
        """The data key for this place, if it was used within the minute."""
        with self._lock:
            until, key = self._kept.get(place, (0.0, b""))
        return key if monotonic() < until else None

    def put(self, place: tuple[str, bytes, bytes], key: bytes) -> None:
        """Remember it; what ran out goes, and the oldest where there are too many."""
        at = monotonic()
        with self._lock:
            self._kept.pop(place, None)
            self._kept[place] = (at + REMEMBERED_SECONDS, key)
            while len(self._kept) > REMEMBERED_MOST or next(iter(self._kept.values()))[0] <= at:
                self._kept.popitem(last=False)

    def clear(self) -> None:
        """Forget them all."""
        with self._lock:
            self._kept.clear()


_recent, _making = _Recent(), threading.Lock()


def forget() -> None:
    """Begin anew, as a process that starts now: no connection, no data key."""
    _client.cache_clear()
    _recent.clear()
