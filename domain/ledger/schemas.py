"""What each type of entry may say: closed schemas, without a place for free text.

Every value is a number in a range, one of a few words, a date, a time, a hash, or an identifier
of the site's own. So no name, address or remark of anybody can get into the ledger by mistake.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import date
from typing import Any

from domain.ledger.entry import is_timestamp
from domain.ledger.errors import SchemaError

_Holds = Callable[[Any], bool]


def check(type: str, data: Mapping[str, Any]) -> None:
    """Raise SchemaError unless `data` has exactly the fields of this type, each as it must be."""
    schema = SCHEMAS.get(type)
    if schema is None or data.keys() != schema.keys():
        raise SchemaError(type)
    for field, holds in schema.items():
        if not holds(data[field]):
            raise SchemaError(type, field)


def _matches(pattern: str) -> _Holds:
    compiled = re.compile(pattern)
    return lambda value: isinstance(value, str) and compiled.fullmatch(value) is not None


def _one_of(*words: str) -> _Holds:
    return lambda value: isinstance(value, str) and value in words


def _whole(least: int, most: int) -> _Holds:
    # bool is an int to Python and another type to JSON.
    return lambda value: type(value) is int and least <= value <= most


def _is_date(value: Any) -> bool:
    try:
        return isinstance(value, str) and date.fromisoformat(value).isoformat() == value
    except ValueError:
        return False


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


_name = _matches(r"[a-z][a-z_]{0,39}")
_sha256 = _matches(r"[0-9a-f]{64}")
_reference = _matches(r"[A-Z0-9-]{6,16}")
_locale = _one_of("nb", "nn", "en")
_version = _whole(1, 9999)
_channel = _one_of("link", "account")
_erasure_cause = _one_of("request", "replaced", "unconfirmed")
_request_kind = _one_of("access", "erasure")

_PURPOSE: dict[str, _Holds] = {"purpose": _name, "purpose_version": _version}
_SHOWN: dict[str, _Holds] = {
    "presentation": _sha256,
    "surface": _one_of("register", "preferences"),
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
    "consent.invalidated": {**_PURPOSE, "reason": _one_of("under_age", "unlawful_wording")},
    "account.opened": {"terms": _is_date, "locale": _locale, "declared_age": _whole(1, 99)},
    "request.received": {**_REQUEST, "due_on": _is_date, "channel": _channel},
    "request.verified": {**_REQUEST, "channel": _channel},
    "request.fulfilled": _REQUEST,
    "request.refused": {**_REQUEST, "reason": _one_of("unverified")},
    "erasure.executed": {"cause": _erasure_cause, "holdings": _are_names},
}
