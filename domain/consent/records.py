"""A decision in the formats of others: Kantara Consent Receipt 1.1 and ISO/IEC TS 27560:2023.

They tell what a receipt tells, in fields that other programs know; they prove nothing, which is
what the receipt is for. What they say of the decision held when it was made: it comes from the
entry and from what was shown. How to reach the company and the authority is told as it is today,
since that is what somebody needs who holds an old document, and a remark says so. What neither
holds (kinds of data, recipients, retention) comes from the purposes register as long as the notice
that was shown then is still in force, since the site is not served with a register that says
something else than its notice. Afterwards it is told where it stands: in the notice of that time,
which is kept for ever.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from domain.consent import decisions, notices, presentations
from domain.consent.decisions import Decision, DecisionState
from domain.consent.errors import NoNotice
from domain.consent.operator import Operator, Processor
from domain.consent.purposes import Purpose, purposes
from domain.dates import local_day, timestamp
from domain.ledger.entry import Entry

KANTARA = "KI-CR-v1.1.0"
ISO_27560 = "ISO/IEC TS 27560:2023"
_CONTROLLER, _AUTHORITY = "controller", "authority"
# What nobody said: what came of time, or of our own finding.
_EVENTS = {DecisionState.EXPIRED: "expiry", DecisionState.INVALIDATED: "invalidation"}


@dataclass(frozen=True)
class Ground:
    """A decision and what it rests on. `shown` is the presentation and `words` its part about the
    purpose; `held` is the register's purpose where that is still what held then, else None."""

    entry: Entry
    decision: Decision
    shown: Mapping[str, Any]
    words: Mapping[str, Any]
    held: Purpose | None
    operator: Operator
    processors: tuple[Processor, ...]

    @property
    def locale(self) -> str:
        """The language that was shown, which the documents are written in."""
        return str(self.shown["locale"])


@dataclass(frozen=True)
class Sayings:
    """What a document says in words of the site's own, in the language of the decision.

    `today` says that the company's and the authority's contact data is today's. `elsewhere`
    stands where something is not known any more, and says where it can be read;
    `changed` says that this is so.
    """

    policy_url: str
    collection: str
    withdrawal: str
    termination: str
    no_phone: str
    today: str
    elsewhere: str
    changed: str


def ground(session: Session, subject_id: UUID, entry: Entry, *, at: datetime) -> Ground | None:
    """What a `consent.*` entry about this person rests on; None for an entry of another type.

    When a consent expired or was found invalid nothing was shown: that rests on what was shown
    when it was given.
    """
    if not entry.type.startswith("consent."):
        return None
    decision = Decision.of(entry)
    digest = decision.presentation or _given_on(session, subject_id, decision)
    document = presentations.get(session, digest) if digest else None
    if document is None:
        return None
    shown = document.content
    words = next((one for one in shown["purposes"] if one["id"] == decision.purpose_id), None)
    if words is None:
        return None
    register = purposes(session)
    held = register.purposes.get(decision.purpose_id)
    if held is None or held.version != decision.purpose_version or _replaced(session, shown, at):
        held = None
    return Ground(entry, decision, shown, words, held, register.operator, register.processors)


def kantara(ground: Ground, sayings: Sayings) -> dict[str, Any] | None:
    """A Consent Receipt 1.1; None where the person gave nothing.

    It is a "record of authority granted" and has no field for the contrary: of a refusal or a
    withdrawal it would read as a consent.
    """
    if not ground.decision.state.permits:
        return None
    entry, words = ground.entry, ground.words
    return {
        "version": KANTARA,
        "jurisdiction": ground.shown["controller"]["country"],
        "consentTimestamp": int(entry.at.timestamp()),
        "collectionMethod": sayings.collection,
        "consentReceiptID": entry.id,
        "language": ground.locale,
        "piiPrincipalId": entry.tag,
        "piiControllers": [_kantara_controller(ground, sayings)],
        "policyUrl": sayings.policy_url,
        "services": [
            {
                "service": ground.operator.brand,
                "purposes": [
                    {
                        "purpose": words["name"],
                        "purposeCategory": [words["id"]],
                        "consentType": "EXPLICIT",
                        "piiCategory": [_data(ground, sayings)],
                        "primaryPurpose": False,
                        "termination": sayings.termination,
                        # Everybody in the register acts for the controller (GDPR art. 28), and
                        # that is no third party (art. 4(10)).
                        "thirdPartyDisclosure": False,
                    }
                ],
            }
        ],
        "sensitive": False,
        "spiCat": [],
        **_remarks(ground, sayings),
    }


def iso_27560(ground: Ground, sayings: Sayings) -> dict[str, Any]:
    """A consent record: header, processing, parties and the event, with every field that the
    specification makes mandatory (requirement 46)."""
    entry, decision, state = ground.entry, ground.decision, ground.decision.state
    by_itself = state in _EVENTS
    months = ground.words["validity_months"]
    return {
        "record": {
            "schema_version": ISO_27560,
            "record_id": entry.id,
            "pii_principal_id": entry.tag,
        },
        "pii_processing": {
            "privacy_notice": {
                "url": sayings.policy_url,
                "effective_on": ground.shown["notice"]["effective_on"],
                "sha256": ground.shown["notice"]["hash"],
            },
            "language": ground.locale,
            "purposes": [_purpose(ground, sayings)],
        },
        "party_identification": _parties(ground, sayings),
        "event": [
            {
                "event_time": timestamp(decision.at),
                "validity_duration": f"P{months}M" if state.permits else "P0D",
                "valid_until": timestamp(decision.expires_at) if decision.expires_at else None,
                "entity_id": _CONTROLLER if by_itself else entry.tag,
                "event_type": _EVENTS.get(state, "explicit"),
                "event_state": state.value,
            }
        ],
        **_remarks(ground, sayings),
    }


def _purpose(ground: Ground, sayings: Sayings) -> dict[str, Any]:
    held, words = ground.held, ground.words
    recipients = _recipients(ground)
    places = [f"{one.region}, {one.country}" for one in recipients]
    return {
        "purpose": words["name"],
        "purpose_id": words["id"],
        "purpose_version": ground.decision.purpose_version,
        "wording": words["wording"],
        "lawful_basis": "consent",
        "pii_information": [{"pii_type": _data(ground, sayings)}],
        "pii_controllers": [_CONTROLLER],
        "collection_method": sayings.collection,
        "storage_locations": places or [sayings.elsewhere],
        "retention_period": held.text[ground.locale].retention if held else sayings.elsewhere,
        "jurisdiction": ground.shown["controller"]["country"],
        "recipient_third_parties": [one.id for one in recipients] or [sayings.elsewhere],
        "withdrawal_method": sayings.withdrawal,
        "authority_party": _AUTHORITY,
    }


def _parties(ground: Ground, sayings: Sayings) -> list[dict[str, Any]]:
    controller, authority = ground.shown["controller"], ground.operator.authority
    address = ", ".join(_address(ground).values())
    return [
        _party(_CONTROLLER, "PII controller", controller["name"], address, controller["email"]),
        *(
            # They answer to the controller, so it is through the controller that one reaches them.
            _party(one.id, "PII processor", one.name, one.country, controller["email"])
            for one in _recipients(ground)
        ),
        _party(_AUTHORITY, "authority", authority.name, controller["country"], authority.url),
    ]


def _party(id: str, role: str, name: str, address: str, contact: str) -> dict[str, Any]:
    return {
        "party_id": id,
        "party_name": name,
        "party_role": role,
        "party_type": role,
        "party_address": address,
        "party_contact": contact,
    }


def _kantara_controller(ground: Ground, sayings: Sayings) -> dict[str, Any]:
    controller = ground.shown["controller"]
    return {
        "piiController": controller["name"],
        "onBehalf": False,
        "contact": controller["name"],
        "address": _address(ground),
        "email": controller["email"],
        # Mandatory there, and not every operator answers a telephone: then it says so.
        "phone": ground.operator.phone or sayings.no_phone,
    }


def _address(ground: Ground) -> dict[str, str]:
    """The controller's address in the words of schema.org, as far as it is known: the operator's
    of today, if it is the same company, and always the country that was shown."""
    controller, operator = ground.shown["controller"], ground.operator
    parts = {"addressCountry": controller["country"]}
    if operator.legal_name == controller["name"]:
        today = operator.address
        parts = {
            "streetAddress": today.street,
            "postalCode": today.postal_code,
            "addressLocality": today.city,
            **parts,
        }
    return {name: part for name, part in parts.items() if part}


def _data(ground: Ground, sayings: Sayings) -> str:
    return ground.held.text[ground.locale].data if ground.held else sayings.elsewhere


def _recipients(ground: Ground) -> list[Processor]:
    """Who received data for the purpose; none that is known where the register has changed."""
    named = ground.held.recipients if ground.held else ()
    return [one for one in ground.processors if one.id in named]


def _remarks(ground: Ground, sayings: Sayings) -> dict[str, Any]:
    return {"remarks": [sayings.today, *([] if ground.held else [sayings.changed])]}


def _given_on(session: Session, subject_id: UUID, ended: Decision) -> str | None:
    """What was shown when the consent was given that ended so."""
    given: str | None = None
    for one in decisions.history(session, subject_id):
        if one.entry_id == ended.entry_id:
            break
        if one.purpose_id == ended.purpose_id and one.state.permits:
            given = one.presentation
    return given


def _replaced(session: Session, shown: Mapping[str, Any], at: datetime) -> bool:
    """Whether another notice is in force than the one that was shown."""
    try:
        notice = notices.in_force(session, "privacy", shown["locale"], on=local_day(at))
    except NoNotice:
        return True
    return bool(notice.hash != shown["notice"]["hash"])
