"""Newsletters as their writer knows them: drafted, started, stopped and followed.

Who gets one is decided when it is sent (sending.py), by asking for each mail.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID, uuid4

from sqlalchemy import Select, func, select, update
from sqlalchemy.orm import Session

from domain.consent.audience import query
from domain.consent.purposes import purposes
from domain.identity.models import Account
from domain.ledger.append import append_anonymous
from domain.locales import LOCALES
from domain.marketing.errors import Changed, Incomplete, NotNow, UnknownCampaign
from domain.marketing.models import Campaign, CampaignDelivery, CampaignText
from domain.subjects.models import Subject

# What newsletters are sent for.
PURPOSE = "marketing"
SUBJECT_LENGTH = 200
# A newsletter that rests for so long is not taken up again.
PAUSED_FOR = timedelta(days=30)


class CampaignState(StrEnum):
    """How far a newsletter has come."""

    DRAFT = "draft"
    SENDING = "sending"
    PAUSED = "paused"
    FINISHED = "finished"
    CANCELLED = "cancelled"


class DeliveryState(StrEnum):
    """What became of one mail (models.CampaignDelivery)."""

    QUEUED = "queued"
    HANDING = "handing"
    SENT = "sent"
    DROPPED = "dropped"
    FAILED = "failed"
    UNCERTAIN = "uncertain"


@dataclass(frozen=True)
class Text:
    """What a newsletter says in one language: a subject, and words in Markdown."""

    subject: str
    words: str


@dataclass(frozen=True)
class Progress:
    """How far a newsletter has come: `recipients` is how many it was for when it was started,
    `counts` how many mails are in each state. Who is erased while it is sent is not counted."""

    state: CampaignState
    recipients: int = 0
    counts: Mapping[str, int] = field(default_factory=dict)

    @property
    def done(self) -> int:
        """How many mails nothing more is to be done about."""
        open_ = (DeliveryState.QUEUED, DeliveryState.HANDING)
        return sum(number for state, number in self.counts.items() if state not in open_)


def draft(session: Session, texts: Mapping[str, Text], *, at: datetime) -> UUID:
    """Keep what is written so far, in whichever languages; return the newsletter's id."""
    campaign = Campaign(id=uuid4(), state=CampaignState.DRAFT.value, made_at=at)
    session.add(campaign)
    session.flush()
    _write(session, campaign.id, texts)
    return campaign.id


def change(
    session: Session, campaign_id: UUID, texts: Mapping[str, Text], *, seen: str | None = None
) -> None:
    """Replace what a draft says. Raises UnknownCampaign, NotNow where it was started, and Changed
    where it says other than it did when its `mark` was `seen`."""
    _take(session, campaign_id, CampaignState.DRAFT)
    _refuse_changed(session, campaign_id, seen)
    for row in _rows(session, campaign_id):
        session.delete(row)
    session.flush()
    _write(session, campaign_id, texts)


def get(session: Session, campaign_id: UUID) -> Campaign:
    """The newsletter. Raises UnknownCampaign."""
    found = session.get(Campaign, campaign_id)
    if found is None:
        raise UnknownCampaign(campaign_id)
    return found


def listed(session: Session) -> list[Campaign]:
    """Every newsletter, newest first."""
    return list(session.scalars(select(Campaign).order_by(Campaign.made_at.desc(), Campaign.id)))


def texts(session: Session, campaign_id: UUID) -> dict[str, Text]:
    """What it says, by language."""
    return {row.locale: Text(row.subject, row.words) for row in _rows(session, campaign_id)}


def missing(texts: Mapping[str, Text]) -> list[tuple[str, str]]:
    """What is to be written before it can be sent: pairs of a language and `subject` or `words`.
    Nobody gets a newsletter in a language that they did not choose."""
    return [
        (locale, part)
        for locale in LOCALES
        for part in ("subject", "words")
        if locale not in texts or not getattr(texts[locale], part).strip()
    ]


def recipients(session: Session, *, at: datetime) -> int:
    """How many would get a newsletter that is started now."""
    return session.scalar(addressees(session, at).with_only_columns(func.count())) or 0


def mark(texts: Mapping[str, Text]) -> str:
    """A word that is another one where anything else is said."""
    said = {locale: _hash(text) for locale, text in texts.items()}
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def start(session: Session, campaign_id: UUID, *, at: datetime, seen: str | None = None) -> int:
    """Let it be sent, by whoever sends (sending.py); return how many it is for. What it says
    cannot be changed from now on: the ledger has its hash. Raises UnknownCampaign, NotNow,
    Incomplete, and Changed (`change`)."""
    campaign = _take(session, campaign_id, CampaignState.DRAFT)
    said = texts(session, campaign_id)
    if lacking := missing(said):
        raise Incomplete(lacking)
    _refuse_changed(session, campaign_id, seen)
    campaign.state, campaign.started_at = CampaignState.SENDING.value, at
    campaign.recipients = recipients(session, at=at)
    hashes = {locale: _hash(said[locale]) for locale in LOCALES}
    data = {"campaign": campaign_id.hex, "purpose": PURPOSE, "hashes": hashes}
    append_anonymous(session, "campaign.started", data, at=at)
    return campaign.recipients


def pause(session: Session, campaign_id: UUID, *, at: datetime) -> None:
    """Send no more of it until it is resumed, or too long ago (`cancel_left`). The mail in hand
    still leaves. Raises UnknownCampaign, NotNow."""
    campaign = _take(session, campaign_id, CampaignState.SENDING)
    campaign.state, campaign.paused_at = CampaignState.PAUSED.value, at


def resume(session: Session, campaign_id: UUID) -> None:
    """Go on where it was paused. Raises UnknownCampaign, NotNow."""
    campaign = _take(session, campaign_id, CampaignState.PAUSED)
    campaign.state, campaign.paused_at = CampaignState.SENDING.value, None


def cancel(session: Session, campaign_id: UUID, *, at: datetime) -> None:
    """Send no more of it, ever. Raises UnknownCampaign, NotNow."""
    stoppable = (CampaignState.DRAFT, CampaignState.SENDING, CampaignState.PAUSED)
    _stop(session, _take(session, campaign_id, *stoppable), at=at)


def cancel_all(session: Session, *, at: datetime) -> int:
    """Cancel every newsletter that was started and is not over; how many."""
    begun = (CampaignState.SENDING.value, CampaignState.PAUSED.value)
    ids = session.scalars(select(Campaign.id).where(Campaign.state.in_(begun))).all()
    for campaign_id in sorted(ids):
        with suppress(NotNow):  # it ended just now
            cancel(session, campaign_id, at=at)
    return len(ids)


def any_left(session: Session, *, at: datetime) -> bool:
    """Whether a newsletter has been paused for too long."""
    return session.scalar(_left(at).limit(1)) is not None


def cancel_left(session: Session, *, at: datetime, limit: int) -> int:
    """Cancel newsletters that nobody resumed in `PAUSED_FOR`, so many at most; how many. Their
    queues are about people, and go so long after they are over (content/purposes.toml)."""
    ids = session.scalars(_left(at).order_by(Campaign.id).limit(limit)).all()
    for campaign_id in ids:
        with suppress(NotNow):  # somebody resumed it just now
            campaign = _take(session, campaign_id, CampaignState.PAUSED)
            if campaign.paused_at is not None and campaign.paused_at <= at - PAUSED_FOR:
                _stop(session, campaign, at=at)
    return len(ids)


def _left(at: datetime) -> Select[UUID]:
    resting = Campaign.state == CampaignState.PAUSED.value
    return select(Campaign.id).where(resting, Campaign.paused_at <= at - PAUSED_FOR)


def _stop(session: Session, campaign: Campaign, *, at: datetime) -> None:
    """Cancel one that is held."""
    campaign.state, campaign.paused_at = CampaignState.CANCELLED.value, None
    if campaign.started_at is None:
        campaign.finished_at = at
        return
    session.execute(
        update(CampaignDelivery)
        .where(
            CampaignDelivery.campaign_id == campaign.id,
            CampaignDelivery.state == DeliveryState.QUEUED.value,
        )
        .values(
            state=DeliveryState.DROPPED.value,
            reason=CampaignState.CANCELLED.value,
            leased_until=None,
            closed_at=at,
        )
        .execution_options(synchronize_session=False)
    )
    end(session, campaign, at=at)


def progress(session: Session, campaign_id: UUID) -> Progress:
    """How far it has come. Raises UnknownCampaign."""
    campaign = get(session, campaign_id)
    counts = json.loads(campaign.counts) if campaign.counts else _counted(session, campaign_id)
    return Progress(CampaignState(campaign.state), campaign.recipients or 0, counts)


def end(session: Session, campaign: Campaign, *, at: datetime) -> bool:
    """Note that it is over, if it is: nobody is left to take into the queue, and no mail in it is
    open. Whoever calls holds its row."""
    running = campaign.state == CampaignState.SENDING.value
    if campaign.finished_at is not None or (running and campaign.filled_at is None):
        return False
    counts = _counted(session, campaign.id)
    if counts[DeliveryState.QUEUED] or counts[DeliveryState.HANDING]:
        return False
    over = {state: number for state, number in counts.items() if state not in _OPEN}
    campaign.finished_at, campaign.counts = at, json.dumps(over)
    if running:
        campaign.state = CampaignState.FINISHED.value
    data = {"campaign": campaign.id.hex, "counts": over}
    append_anonymous(session, "campaign.finished", data, at=at)
    return True


def addressees(session: Session, at: datetime) -> Select[tuple[UUID]]:
    """For whom newsletters are permitted now, and who can be written to."""
    register = purposes(session, at)
    permitted = query(register, register.purposes[PURPOSE], at)
    return permitted.join(Account, Account.subject_id == Subject.id).where(
        Account.undeliverable_at.is_(None)
    )


_OPEN = (DeliveryState.QUEUED.value, DeliveryState.HANDING.value)


def _counted(session: Session, campaign_id: UUID) -> dict[str, int]:
    found = session.execute(
        select(CampaignDelivery.state, func.count())
        .where(CampaignDelivery.campaign_id == campaign_id)
        .group_by(CampaignDelivery.state)
    )
    return {**dict.fromkeys((one.value for one in DeliveryState), 0), **dict(found.all())}


def _take(session: Session, campaign_id: UUID, *states: CampaignState) -> Campaign:
    """The newsletter, held until the transaction ends."""
    weaker = {"key_share": True}  # taking people into its queue goes on meanwhile
    found = session.get(Campaign, campaign_id, with_for_update=weaker, populate_existing=True)
    if found is None:
        raise UnknownCampaign(campaign_id)
    if found.state not in states:
        raise NotNow(campaign_id, found.state)
    return found


def _refuse_changed(session: Session, campaign_id: UUID, seen: str | None) -> None:
    if seen is not None and seen != mark(texts(session, campaign_id)):
        raise Changed(campaign_id)


def _rows(session: Session, campaign_id: UUID) -> list[CampaignText]:
    mine = select(CampaignText).where(CampaignText.campaign_id == campaign_id)
    return list(session.scalars(mine.order_by(CampaignText.locale)))


def _write(session: Session, campaign_id: UUID, texts: Mapping[str, Text]) -> None:
    for locale, text in texts.items():
        if locale not in LOCALES:
            raise ValueError(f"{locale!r} is no language of the site")
        if text.subject.strip() or text.words.strip():
            # No mail has a NUL in it, and PostgreSQL takes none.
            subject, words = (one.replace("\0", "") for one in (text.subject, text.words))
            row = CampaignText(campaign_id=campaign_id, locale=locale, subject=subject, words=words)
            session.add(row)
    session.flush()


def _hash(text: Text) -> str:
    return hashlib.sha256(f"{text.subject}\n\n{text.words}".encode()).hexdigest()
