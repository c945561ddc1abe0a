"""What is material in a notice's new version, as the operator tells it: `content/changes.toml`.

    [[change]]
    kind = "privacy"
    date = 2026-11-24
    [change.nb]
    new = ["One thing that is new, in plain words.", "Another."]

A version that is named there is told, by mail, to whoever had an account before it was published
(domain/rights/notifying.py). Any other is told to nobody.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from domain.consent import notices
from domain.consent.errors import ContentError
from domain.consent.operator import build, in_each_language, read_toml
from domain.locales import LOCALES


@dataclass(frozen=True)
class Change:
    """A version that changes something material, and what that is, in each language."""

    kind: str
    date: date
    new: Mapping[str, tuple[str, ...]]


def changes(session: Session) -> tuple[Change, ...]:
    """Those that this session's database was opened with; none where it knows of none."""
    found: tuple[Change, ...] = session.info.get("changes", ())
    return found


def load(content: Path) -> tuple[Change, ...]:
    """Read `changes.toml`, the oldest version first. Raises ContentError."""
    path = content / "changes.toml"
    document = read_toml(path)
    if unknown := sorted(set(document) - {"change"}):
        raise ContentError(f"{path}: unknown {', '.join(unknown)}")
    versions = {(source.kind, source.effective_on) for source in notices.sources(content)}
    found: dict[tuple[str, date], Change] = {}
    for values in document.get("change", []):
        change = _change(values, f"{path} {values.get('kind', '?')} {values.get('date', '?')}")
        version = (change.kind, change.date)
        if version not in versions:
            raise ContentError(f"{path}: content/notices has no {change.kind}/{change.date}")
        if version in found:
            raise ContentError(f"{path}: {change.kind} {change.date} stands there twice")
        found[version] = change
    return tuple(sorted(found.values(), key=lambda change: (change.date, change.kind)))


def _change(values: Mapping[str, Any], where: str) -> Change:
    texts = in_each_language(values, where)
    new = {locale: _told(text, f"{where} [{locale}]") for locale, text in texts.items()}
    if len({len(told) for told in new.values()}) > 1:
        raise ContentError(f"{where}: as much is new in {', '.join(LOCALES)}, or a text is missing")
    change = build(Change, values, where, new=new)
    if type(change.date) is not date:
        raise ContentError(f"{where}: date is a day")
    return change


def _told(text: object, where: str) -> tuple[str, ...]:
    """What is new, in one language."""
    new = text.get("new") if isinstance(text, Mapping) and set(text) == {"new"} else None
    if not isinstance(new, list) or not new:
        raise ContentError(f"{where}: new is a list of what is new")
    if not all(isinstance(one, str) and one.strip() for one in new):
        raise ContentError(f"{where}: what is new is told in words")
    return tuple(new)
