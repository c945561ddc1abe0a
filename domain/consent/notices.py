"""Notices: published once, immutable, retrievable for ever.

A version is a folder `content/notices/<kind>/<date>/` with a Markdown file for each language.
Publishing writes the purposes and processors out where the file says `[[purposes]]` and
`[[processors]]`, stores the result and appends `notice.published` with its hashes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from domain.consent import writing
from domain.consent.errors import ChangedNotice, ContentError, NoNotice
from domain.consent.models import NoticeVersion
from domain.consent.purposes import purposes
from domain.dates import local_day
from domain.ledger.append import append_anonymous
from domain.locales import DEFAULT, LOCALES

KINDS = ("privacy", "terms")


@dataclass(frozen=True)
class Source:
    """A version as it stands on disk."""

    kind: str
    effective_on: date
    files: dict[str, Path]


@dataclass(frozen=True)
class Version:
    """A published version and the languages it was published in."""

    effective_on: date
    locales: tuple[str, ...]


def sources(content: Path) -> Iterator[Source]:
    """The versions on disk, oldest first. Raises ContentError for a folder that is no date."""
    for kind in KINDS:
        for folder in sorted((content / "notices" / kind).glob("*")):
            try:
                effective_on = date.fromisoformat(folder.name)
            except ValueError as error:
                raise ContentError(f"{folder}: a version's folder is named by its date") from error
            files = {path.stem: path for path in sorted(folder.glob("*.md"))}
            if unknown := sorted(set(files) - set(LOCALES)):
                raise ContentError(f"{folder}: no such language: {', '.join(unknown)}")
            if DEFAULT not in files:
                raise ContentError(f"{folder}: {DEFAULT}.md is missing")
            yield Source(kind, effective_on, files)


def publish(session: Session, content: Path, *, at: datetime) -> list[Source]:
    """Store every version that is new and append its entry; return what was new.

    Raises ChangedNotice when a published file differs from what stands on disk.
    """
    check_files(session, content)
    published = []
    for source in sources(content):
        if _stored(session, source.kind, source.effective_on):
            continue
        texts = {
            locale: writing.write_out(
                path.read_text("utf-8"), purposes(session), locale, on=source.effective_on
            ).encode()
            for locale, path in source.files.items()
        }
        hashes = {locale: hashlib.sha256(text).hexdigest() for locale, text in texts.items()}
        data = {
            "kind": source.kind,
            "effective_on": source.effective_on.isoformat(),
            "hashes": hashes,
        }
        entry_id = append_anonymous(session, "notice.published", data, at=at)
        for locale, text in texts.items():
            session.add(
                NoticeVersion(
                    kind=source.kind,
                    effective_on=source.effective_on,
                    locale=locale,
                    hash=hashes[locale],
                    source_hash=_file_hash(source.files[locale]),
                    content=text,
                    published_at=at,
                    entry_id=entry_id,
                )
            )
        session.flush()
        published.append(source)
    return published


def check_files(session: Session, content: Path) -> None:
    """Raise ChangedNotice if a published file was changed, removed or added to on disk."""
    on_disk = {(source.kind, source.effective_on): source for source in sources(content)}
    for kind in KINDS:
        for version in versions(session, kind):
            stored = _stored(session, kind, version.effective_on)
            source = on_disk.get((kind, version.effective_on))
            files = source.files if source else {}
            folder = content / "notices" / kind / version.effective_on.isoformat()
            for locale in sorted({*stored, *files}):
                path = folder / f"{locale}.md"
                if locale not in stored or locale not in files:
                    raise ChangedNotice(path)
                if stored[locale].source_hash != _file_hash(path):
                    raise ChangedNotice(path)


def check_in_force(session: Session, content: Path, *, at: datetime) -> None:
    """Raise unless a notice of each kind is in force and says what `purposes.toml` says, now and
    on each day on which it will say something else.

    Raises NoNotice, or ContentError when the purposes were changed without a new version.
    """
    today = local_day(at)
    for day in [today, *(one for one in purposes(session).turns() if one > today)]:
        _check_on(session, content, day)


def _check_on(session: Session, content: Path, today: date) -> None:
    """Raise unless what is in force on this day says what `purposes.toml` says."""
    for kind in KINDS:
        for locale in LOCALES:
            notice = in_force(session, kind, locale, on=today)
            folder = content / "notices" / kind / notice.effective_on.isoformat()
            text = (folder / f"{notice.locale}.md").read_text("utf-8")
            # A notice is written in the words of the day that it begins on.
            said = writing.write_out(text, purposes(session), notice.locale, on=notice.effective_on)
            told = writing.write_out(text, purposes(session), notice.locale, on=today)
            if not notice.content == said.encode() == told.encode():
                raise ContentError(
                    f"{content / 'purposes.toml'} or processors.toml says something else than the "
                    f"{kind} notice of {notice.effective_on}: make a new version of the notice "
                    "and run: flask notices publish"
                )


def in_force(session: Session, kind: str, locale: str, *, on: date) -> NoticeVersion:
    """The newest version that is in force on this day, in bokmål where it has no other.

    Raises NoNotice.
    """
    statement = (
        select(NoticeVersion)
        .where(NoticeVersion.kind == kind, NoticeVersion.effective_on <= on)
        .where(NoticeVersion.locale.in_((locale, DEFAULT)))
        .order_by(NoticeVersion.effective_on.desc(), NoticeVersion.locale == DEFAULT)
        .limit(1)
    )
    notice = session.scalar(statement)
    if notice is None:
        raise NoNotice(kind)
    return notice


def versions(session: Session, kind: str) -> Sequence[Version]:
    """Every published version of a kind, newest first."""
    rows = session.execute(
        select(NoticeVersion.effective_on, NoticeVersion.locale)
        .where(NoticeVersion.kind == kind)
        .order_by(NoticeVersion.effective_on.desc())
    )
    found: dict[date, list[str]] = {}
    for effective_on, locale in rows:
        found.setdefault(effective_on, []).append(locale)
    return [
        Version(day, tuple(one for one in LOCALES if one in locales))
        for day, locales in found.items()
    ]


def get(session: Session, kind: str, effective_on: date, locale: str) -> NoticeVersion | None:
    """One published version in one language."""
    return session.get(NoticeVersion, (kind, effective_on, locale))


def _stored(session: Session, kind: str, effective_on: date) -> dict[str, NoticeVersion]:
    rows = session.scalars(
        select(NoticeVersion).where(
            NoticeVersion.kind == kind, NoticeVersion.effective_on == effective_on
        )
    )
    return {row.locale: row for row in rows}


def _file_hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
