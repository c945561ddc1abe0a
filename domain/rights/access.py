"""Access (GDPR art. 15): everything kept, and where from, what for, to whom and how long."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from typing import IO, Any
from uuid import UUID

import structlog
from sqlalchemy.orm import Session

from domain.consent import receipts
from domain.consent.operator import Processor
from domain.consent.purposes import Purpose, purposes
from domain.dates import OSLO, parse_timestamp, timestamp
from domain.holding import Holding
from domain.ledger.errors import LedgerError
from domain.rights import kept, sharing
from domain.rights.inventory import INVENTORY
from domain.rights.kept import Kept
from domain.rights.models import DataSubjectRequest
from domain.subjects import service as subjects

log = structlog.get_logger()

# Beside the processors, by the privacy notice: where the law says so, or a claim needs it.
_OTHERS = ("accountant", "auditor", "lawyer", "court", "public_authority")


@dataclass(frozen=True)
class Records:
    """The records of a holding, read one by one and anew each time they are gone through: those
    of a large copy are never all in memory."""

    session: Session
    reached: Sequence[UUID]
    holding: Holding

    def __iter__(self) -> Iterator[dict[str, Any]]:
        found = self.holding.walk or self.holding.export
        return chain.from_iterable(found(self.session, one) for one in self.reached)


def collect(
    session: Session, subject_id: UUID, request: DataSubjectRequest, locale: str, *, at: datetime
) -> dict[str, Any]:
    """Everything kept about a person, with what the law wants said of it, JSON-ready."""
    document = describe(session, subject_id, request, locale, at=at)
    for holding in document["holdings"]:
        holding["records"] = list(holding["records"])
    return document


def describe(
    session: Session, subject_id: UUID, request: DataSubjectRequest, locale: str, *, at: datetime
) -> dict[str, Any]:
    """The same, whose `records` are only read when they are gone through, for as long as the
    session is open. Who else is found by their address is in it too (sharing.py)."""
    register = purposes(session)
    operator = register.operator
    subject = subjects.get(session, subject_id)
    reached = [subject_id, *sharing.others(session, subject_id)]
    until: dict[str, list[Kept]] = {}
    for one in chain.from_iterable(kept.dates(session, who, at=at) for who in reached):
        until.setdefault(one.holding, []).append(one)
    return {
        "made_at": timestamp(at),
        "reference": request.reference,
        "language": locale,
        "controller": {"name": operator.legal_name, "contact": operator.email},
        "complaints_to": {"name": operator.authority.name, "url": operator.authority.url},
        "automated_decisions": False,
        "restricted_since": _moment(subject.restricted_at),
        "erasure_begun": _moment(subject.erasing_at),
        "purposes": [_purpose(one, locale) for one in register],
        # Who receives anything here does it for the controller (GDPR art. 28).
        "recipients": [_recipient(one, locale) for one in register.processors],
        "disclosures": _disclosures(operator.email),
        "retention_rules": {
            one.id: {"after": one.after, "days": one.days, "months": one.months}
            for one in register.retention.values()
        },
        "holdings": [
            {
                "name": holding.name,
                "source": holding.source,
                "purposes": [
                    {"id": one.id, "name": one.text[locale].name, "basis": one.text[locale].basis}
                    for one in (register.purposes[id] for id in holding.purposes)
                ],
                "recipients": _received(register.purposes, holding, register.processors),
                "retention": [
                    {"rule": one.rule, "until": one.until.isoformat() if one.until else None}
                    for one in until.get(holding.name, [])
                ],
                "records": Records(session, reached, holding),
            }
            for holding in INVENTORY
        ],
    }


def _purpose(purpose: Purpose, locale: str) -> dict[str, Any]:
    text = purpose.text[locale]
    return {
        "id": purpose.id,
        "name": text.name,
        "purpose": text.purpose,
        "lawful_basis": text.basis,
        "article": purpose.article,
        "data": text.data,
        "recipients": list(purpose.recipients),
        "retention": text.retention,
        "rules": list(purpose.rules),
    }


def _recipient(processor: Processor, locale: str) -> dict[str, Any]:
    """A processor; `transfer` is the safeguard where data leave the EEA, "" where they do not
    (GDPR art. 15(2))."""
    return {
        "id": processor.id,
        "name": processor.name,
        "country": processor.country,
        "region": processor.region,
        "does": processor.does[locale],
        "transfer": processor.transfer,
    }


def _disclosures(ask: str) -> dict[str, Any]:
    """Whom the controller may have given something to by other ways than this site, as the notice
    says, and who can be asked whether it has: nobody records it here."""
    return {"recorded": False, "possible_to": list(_OTHERS), "ask": ask}


def _received(
    known: Mapping[str, Purpose], holding: Holding, processors: Iterable[Processor]
) -> list[str]:
    """The names of those who receive it for any of its purposes."""
    ids = {one for id in holding.purposes for one in known[id].recipients}
    return [processor.name for processor in processors if processor.id in ids]


def _moment(at: datetime | None) -> str | None:
    return timestamp(at) if at else None


def proofs(session: Session, subject_id: UUID) -> dict[str, bytes]:
    """The receipts of everything that the ledger says about a person, by the entry's id. An entry
    that still waits for its place has none yet."""
    return dict(each_proof(session, subject_id))


def each_proof(session: Session, subject_id: UUID) -> Iterator[tuple[str, bytes]]:
    """The same, one by one."""
    reached = [subject_id, *sharing.others(session, subject_id)]
    wanted = [entry.id for who in reached for entry in subjects.entries(session, who)]
    try:
        for entry, receipt in receipts.receipts(session, wanted):
            yield entry.id, receipt.encode()
    except LedgerError as error:
        # What is stored is not whole, and `flask ledger verify` says where. The person's right
        # to a copy does not wait for that.
        log.error("receipts_not_made", error=type(error).__name__)


def archive(document: dict[str, Any], page: str, receipts: Mapping[str, bytes]) -> bytes:
    """A ZIP of the page for people, the JSON for machines, and the receipts."""
    made = io.BytesIO()
    pack(made, document, [page], receipts.items())
    return made.getvalue()


def pack(
    out: IO[bytes],
    document: Mapping[str, Any],
    page: Iterable[str],
    receipts: Iterable[tuple[str, bytes]],
    step: Callable[[], None] = lambda: None,
) -> None:
    """Write the ZIP, piece by piece, into what need not be more than written to. `step` is called
    for the page, each holding and each receipt."""
    made = parse_timestamp(document["made_at"]).astimezone(OSLO).timetuple()[:6]
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:

        def add(name: str, pieces: Iterable[bytes]) -> None:
            # A ZIP's own times have neither a zone nor years before 1980.
            member = zipfile.ZipInfo(name, date_time=made)
            member.compress_type = zipfile.ZIP_DEFLATED
            member.external_attr = 0o644 << 16
            with file.open(member, "w") as one:
                for piece in pieces:
                    one.write(piece)

        add("index.html", (piece.encode() for piece in page))
        step()
        add("data.json", (piece.encode() for piece in written(document, step)))
        for entry_id, receipt in receipts:
            add(f"receipts/{entry_id}.json", [receipt])
            step()


def written(document: Mapping[str, Any], step: Callable[[], None] = lambda: None) -> Iterator[str]:
    """The document as JSON, a record at a time; `step` is called for each holding."""
    about = {name: said for name, said in document.items() if name != "holdings"}
    yield _json(about).removesuffix("\n}") + ',\n  "holdings": ['
    for number, holding in enumerate(document["holdings"]):
        told = {name: said for name, said in holding.items() if name != "records"}
        yield ("," if number else "") + "\n    "
        yield _json(told, 4).removesuffix("\n    }") + ',\n      "records": ['
        for place, record in enumerate(holding["records"]):
            yield ("," if place else "") + "\n        " + _json(record, 8)
        yield "\n      ]\n    }"
        step()
    yield "\n  ]\n}\n"


def _json(value: Any, margin: int = 0) -> str:
    text = json.dumps(value, ensure_ascii=False, indent=2)
    # No text in JSON has a line break of its own.
    return text.replace("\n", "\n" + " " * margin) if margin else text
