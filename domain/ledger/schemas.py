"""What each type of entry may say: closed schemas, without a place for free text.

Every value is a number in a range, one of a few words, a date, a time, a hash, or an identifier
of the site's own. So no name, address or remark of anybody can get into the ledger by mistake.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from domain.ledger.entry import is_timestamp
from domain.ledger.errors import MalformedKey, SchemaError
from domain.ledger.log import is_origin
from domain.ledger.merkle import HASH_BYTES
from domain.ledger.notes import KeyType, VerifierKey, decode_base64

_Holds = Callable[[Any], bool]
# The largest whole number that every reader of JSON takes for itself (RFC 8785).
_MOST = 2**53 - 1


def check(type: str, data: Mapping[str, Any]) -> None:
    """Raise SchemaError unless `data` has exactly the fields of this type, each as it must be."""
    schema = SCHEMAS.get(type)
    if schema is None or data.keys() != schema.keys():
        raise SchemaError(type)
    for field, holds in schema.items():
        if not holds(data[field]):
            raise SchemaError(type, field)


@dataclass(frozen=True)
class Spelled:
    """What a value must be, also as a regular expression for its canonical JSON: whatever
    matches holds, once every captured text was found to be a date or a hash (spelling.py)."""

    holds: _Holds
    pattern: str

    def __call__(self, value: Any) -> bool:
        return self.holds(value)


def _spelled(pattern: str) -> Callable[[_Holds], Spelled]:
    return lambda holds: Spelled(holds, pattern)


def _matches(pattern: str) -> Spelled:
    compiled = re.compile(pattern)
    return Spelled(
        lambda value: isinstance(value, str) and compiled.fullmatch(value) is not None,
        f'"{pattern}"',
    )


def _one_of(*words: str) -> Spelled:
    return Spelled(
        lambda value: isinstance(value, str) and value in words, f'"(?:{"|".join(words)})"'
    )


def _whole(least: int, most: int) -> _Holds:
    # bool is an int to Python and another type to JSON.
    return lambda value: type(value) is int and least <= value <= most


def _counted(digits: int) -> Spelled:
    """From 1, with at most so many digits."""
    return Spelled(_whole(1, 10**digits - 1), f"[1-9][0-9]{{0,{digits - 1}}}")


@_spelled(r'"([0-9]{4}-[0-9]{2}-[0-9]{2})"')
def _is_date(value: Any) -> bool:
    try:
        return isinstance(value, str) and date.fromisoformat(value).isoformat() == value
    except ValueError:
        return False


@_spelled(r'"([0-9]{4}-[0-9]{2}-[0-9]{2})T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]\.[0-9]{3}Z"')
def _is_time(value: Any) -> bool:
    return isinstance(value, str) and is_timestamp(value)


def _are_hashes(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and bool(value)
        and all(_locale(locale) and _sha256(digest) for locale, digest in value.items())
    )


def _are_names(value: Any) -> bool:
    return (
        isinstance(value, list)
        and 0 < len(value) <= 100
        and all(_name(name) for name in value)
        and len(set(value)) == len(value)
    )


def _are_counts(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and 0 < len(value) <= 100
        and all(_name(name) and _whole(0, _MOST)(count) for name, count in value.items())
    )


def _is_origin(value: Any) -> bool:
    return isinstance(value, str) and is_origin(value)


def _is_log_key(value: Any) -> bool:
    try:
        key = VerifierKey.parse(value) if isinstance(value, str) else None
    except MalformedKey:
        return False
    return key is not None and key.type is KeyType.LOG and is_origin(key.name)


def _is_root(value: Any) -> bool:
    decoded = decode_base64(value) if isinstance(value, str) else None
    return decoded is not None and len(decoded) == HASH_BYTES


_name = _matches(r"[a-z][a-z_]{0,39}")
# Any 64 bytes at first: what was seen once need not be looked through again.
_sha256 = Spelled(_matches(r"[0-9a-f]{64}"), r'"(.{64})"')
_entry_id = _matches(r"[0-9a-f]{32}")
_reference = _matches(r"[A-Z0-9-]{6,16}")
_locale = _one_of("nb", "nn", "en")
_version = _counted(4)
_channel = _one_of("link", "account", "form", "staff")
_erasure_cause = _one_of(
    "request", "replaced", "unconfirmed", "retention", "hold_ended", "restored"
)
_request_kind = _one_of(
    "access", "portability", "rectification", "erasure", "restriction", "objection", "enquiry"
)
_invalidation = _one_of("under_age", "unlawful_wording", "objection")
_extension = _one_of("complexity", "number")
_refusal = _one_of(
    "unverified", "unfounded", "excessive", "unidentified", "legal_duty", "others_rights"
)
# Why a member of staff looked at somebody's data.
_viewing = _one_of("answering", "verifying", "security", "legal_claim", "audit")

_PURPOSE: dict[str, _Holds] = {"purpose": _name, "purpose_version": _version}
_SHOWN: dict[str, _Holds] = {
    "presentation": _sha256,
    "surface": _one_of("register", "preferences", "visitor", "unsubscribe", "renewal"),
    "locale": _locale,
    "served_at": _is_time,
}
_REQUEST: dict[str, _Holds] = {"kind": _request_kind, "reference": _reference}

SCHEMAS: Mapping[str, Mapping[str, _Holds]] = {
    "notice.published": {
        "kind": _one_of("privacy", "terms"),
        "effective_on": _is_date,
        "hashes": _are_hashes,
    },
    "consent.given": {**_PURPOSE, **_SHOWN, "expires_at": _is_time},
    "consent.refused": {**_PURPOSE, **_SHOWN},
    "consent.renewed": {**_PURPOSE, **_SHOWN, "expires_at": _is_time},
    "consent.withdrawn": {**_PURPOSE, **_SHOWN},
    "consent.expired": _PURPOSE,
    "consent.invalidated": {**_PURPOSE, "reason": _invalidation},
    "account.opened": {"terms": _is_date, "locale": _locale, "declared_age": _counted(2)},
    # A visitor's choice, by their own receipt, was there when this account was opened.
    "visitor.linked": {"purpose": _name, "entry": _entry_id},
    "campaign.started": {"campaign": _entry_id, "purpose": _name, "hashes": _are_hashes},
    "campaign.finished": {"campaign": _entry_id, "counts": _are_counts},
    "request.received": {**_REQUEST, "due_on": _is_date, "channel": _channel},
    "request.verified": {**_REQUEST, "channel": _channel},
    "request.fulfilled": _REQUEST,
    "request.refused": {**_REQUEST, "reason": _refusal},
    "request.extended": {**_REQUEST, "due_on": _is_date, "reason": _extension},
    "request.cancelled": _REQUEST,
    "restriction.placed": {},
    "restriction.lifted": {},
    "objection.made": {"purpose": _name},
    "hold.placed": {"ground": _name, "holdings": _are_names, "review_on": _is_date},
    "hold.extended": {"review_on": _is_date},
    "hold.released": {},
    "subscription.started": {"started_on": _is_date},
    "subscription.ended": {"ended_on": _is_date},
    "account.imported": {"locale": _locale, "declared_age": _counted(2)},
    "staff.viewed": {"holdings": _are_names, "purpose": _viewing},
    "retention.executed": {"counts": _are_counts},
    "vault.rotated": {"epoch": _counted(5)},
    "vault.epoch_retired": {"epoch": _counted(5)},
    "erasure.executed": {"cause": _erasure_cause, "holdings": _are_names},
    # Says nothing: it stands for an entry that another case would have left (append.pad).
    "log.padded": {},
    "key.rotated": {"from": _is_log_key, "to": _is_log_key},
    "key.retired": {"key": _is_log_key},
    "log.recovered": {
        "origin": _is_origin,
        "size": _whole(1, _MOST),
        "root": _is_root,
        "restored_size": _whole(0, _MOST),
        "key": _is_log_key,
    },
}
