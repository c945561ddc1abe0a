"""The JSON schema of a Kantara Consent Receipt 1.1 (draft 6), written from the specification; and
one of the fields that ISO/IEC TS 27560 makes mandatory (requirement 46)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_TEXT = {"type": "string", "minLength": 1}
_TEXTS = {"type": "array", "items": _TEXT}


def _closed(required: Mapping[str, Any], **optional: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {**required, **optional},
        "required": list(required),
        "additionalProperties": False,
    }


_PURPOSE: dict[str, Any] = _closed(
    {
        "purposeCategory": {**_TEXTS, "minItems": 1},
        "consentType": {"enum": ["EXPLICIT", "IMPLICIT"]},
        "piiCategory": {**_TEXTS, "minItems": 1},
        "termination": _TEXT,
        "thirdPartyDisclosure": {"type": "boolean"},
    },
    purpose=_TEXT,
    primaryPurpose={"type": "boolean"},
    thirdPartyName=_TEXT,
)
# Whoever discloses to a third party names it.
_PURPOSE["oneOf"] = [
    {"properties": {"thirdPartyDisclosure": {"enum": [False]}}},
    {"properties": {"thirdPartyDisclosure": {"enum": [True]}}, "required": ["thirdPartyName"]},
]
KANTARA = {
    "$schema": "http://json-schema.org/draft-06/schema#",
    **_closed(
        {
            "version": {"const": "KI-CR-v1.1.0"},
            "jurisdiction": _TEXT,
            "consentTimestamp": {"type": "integer", "minimum": 0},
            "collectionMethod": _TEXT,
            "consentReceiptID": _TEXT,
            "piiPrincipalId": _TEXT,
            "piiControllers": {
                "type": "array",
                "minItems": 1,
                "items": _closed(
                    {
                        "piiController": _TEXT,
                        "contact": _TEXT,
                        "address": {"type": "object", "minProperties": 1},
                        "email": _TEXT,
                        "phone": _TEXT,
                    },
                    onBehalf={"type": "boolean"},
                    piiControllerUrl=_TEXT,
                ),
            },
            "policyUrl": {"type": "string", "format": "uri"},
            "services": {
                "type": "array",
                "minItems": 1,
                "items": _closed(
                    {"service": _TEXT, "purposes": {"type": "array", "items": _PURPOSE}}
                ),
            },
            "sensitive": {"type": "boolean"},
            "spiCat": _TEXTS,
        },
        publicKey=_TEXT,
        language={"type": "string", "pattern": "^[a-z]{2}$"},
        remarks=_TEXTS,  # of our own
    ),
}

_ISO_PURPOSE = _closed(
    {
        "purpose": _TEXT,
        "pii_information": {
            "type": "array",
            "minItems": 1,
            "items": _closed({"pii_type": _TEXT}),
        },
        "pii_controllers": {**_TEXTS, "minItems": 1},
        "storage_locations": {**_TEXTS, "minItems": 1},
        "retention_period": _TEXT,
        "jurisdiction": _TEXT,
        "recipient_third_parties": {**_TEXTS, "minItems": 1},
        "withdrawal_method": _TEXT,
    },
    purpose_id=_TEXT,
    purpose_version={"type": "integer"},
    wording=_TEXT,
    lawful_basis={"const": "consent"},
    collection_method=_TEXT,
    authority_party=_TEXT,
)
_PARTY = _closed(
    {
        "party_id": _TEXT,
        "party_name": _TEXT,
        "party_address": _TEXT,
        "party_contact": _TEXT,
        "party_type": _TEXT,
    },
    party_role=_TEXT,
)
_EVENT = _closed(
    {
        "event_time": {"type": "string", "pattern": "^[0-9T:.-]+Z$"},
        "validity_duration": {"type": "string", "pattern": "^P[0-9]+[MD]$"},
        "entity_id": _TEXT,
        "event_type": {"enum": ["explicit", "expiry", "invalidation"]},
        "event_state": {
            "enum": ["given", "refused", "renewed", "withdrawn", "expired", "invalidated"]
        },
    },
    valid_until={"type": ["string", "null"]},
)
ISO_27560 = {
    "$schema": "http://json-schema.org/draft-06/schema#",
    **_closed(
        {
            "record": _closed(
                {
                    "schema_version": {"const": "ISO/IEC TS 27560:2023"},
                    "record_id": _TEXT,
                    "pii_principal_id": _TEXT,
                }
            ),
            "pii_processing": _closed(
                {
                    "privacy_notice": _closed(
                        {"url": _TEXT, "effective_on": _TEXT, "sha256": _TEXT}
                    ),
                    "language": {"type": "string", "pattern": "^[a-z]{2}$"},
                    "purposes": {"type": "array", "minItems": 1, "items": _ISO_PURPOSE},
                }
            ),
            "party_identification": {"type": "array", "minItems": 2, "items": _PARTY},
            "event": {"type": "array", "minItems": 1, "items": _EVENT},
        },
        remarks=_TEXTS,
    ),
}
