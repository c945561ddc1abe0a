"""Tables of usage. Events stand under a pseudonym; what makes it can be taken away."""

from __future__ import annotations

from datetime import date, datetime
from uuid import UUID

from sqlalchemy import ForeignKey, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from database import Base


class UsageKey(Base):
    """The random key that a member's, or a browser's, pseudonyms are made with.

    It dies with the withdrawal: without the row nothing is recorded, and nobody can tell whose
    the pseudonyms were. Exactly one of `subject_id` and `browser` stands; `browser` is the SHA-256
    of what the browser's cookie holds. `despite_signal` is whether the yes was said by a browser
    that sends `Sec-GPC: 1`: any other yes does not count where that signal is sent. `expires_at`
    is when a visitor's yes ends, by the day; a member's ends with their decision.
    """

    __tablename__ = "usage_key"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    subject_id: Mapped[UUID | None] = mapped_column(ForeignKey("subject.id"), unique=True)
    browser: Mapped[bytes | None] = mapped_column(LargeBinary(32), unique=True)
    key: Mapped[bytes] = mapped_column(LargeBinary(32))
    despite_signal: Mapped[bool]
    begun_at: Mapped[datetime]
    expires_at: Mapped[datetime | None]


class UsageMonth(Base):
    """The site's own key of one month (`2026-11`), sealed: a pseudonym takes both keys, so the
    same person has another one each month, and none can be made anew once this is gone."""

    __tablename__ = "usage_month"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    month: Mapped[str] = mapped_column(String(7), unique=True)
    key: Mapped[bytes] = mapped_column(LargeBinary)


class UsageEvent(Base):
    """Somebody read, finished, used or found useful one tip or tool on one day, as days are in
    Norway: the second time that day is no new row."""

    __tablename__ = "usage_event"
    __table_args__ = ({"sqlite_with_rowid": False},)

    pseudonym: Mapped[bytes] = mapped_column(LargeBinary(32), primary_key=True)
    item: Mapped[str] = mapped_column(String(80), primary_key=True)
    kind: Mapped[str] = mapped_column(String(12), primary_key=True)
    day: Mapped[date] = mapped_column(primary_key=True, index=True)
    locale: Mapped[str] = mapped_column(String(2))


class UsageWeek(Base):
    """How many people did it in one week (its Monday), once the events are gone."""

    __tablename__ = "usage_week"
    __table_args__ = ({"sqlite_with_rowid": False},)

    week: Mapped[date] = mapped_column(primary_key=True)
    item: Mapped[str] = mapped_column(String(80), primary_key=True)
    kind: Mapped[str] = mapped_column(String(12), primary_key=True)
    locale: Mapped[str] = mapped_column(String(2), primary_key=True)
    people: Mapped[int]
