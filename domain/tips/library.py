"""Tips and tools as the operator writes them: `content/tips/<slug>.<language>.md`.

A file begins with a few lines between `---`, and goes on in Markdown:

    ---
    title: Roligere morgener
    summary: One sentence that says what it helps with.
    topic: mornings
    published: 2026-11-02
    tool: morning
    ---

`topic` is one of `content/topics.toml`, whose order is the order of the list. `tool` is left out
where there is none. Until the day of `published` nobody is shown it. A tip is there in every
language or in none: nobody finds less because of the language that they read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from functools import cached_property
from pathlib import Path

from domain.consent.errors import ContentError
from domain.consent.markdown import to_html
from domain.consent.operator import build, in_each_language, read_toml
from domain.locales import LOCALES

# Usage keeps the slug in a column of 80.
_SLUG = re.compile(r"(?=.{1,60}\Z)[a-z0-9]+(-[a-z0-9]+)*")
_FIELDS = frozenset({"title", "summary", "topic", "published"})
_HEADING = re.compile(r"^# ", re.MULTILINE)


class Tool(StrEnum):
    """What a tip can have beside its words."""

    CLOTHES = "clothes"
    MORNING = "morning"


@dataclass(frozen=True)
class Topic:
    """What a tip is about, with its name in each language."""

    id: str
    name: Mapping[str, str]


@dataclass(frozen=True)
class Text:
    """A tip in one language; `words` are Markdown."""

    title: str
    summary: str
    words: str

    @cached_property
    def html(self) -> str:
        """The words as safe HTML, made when somebody first reads them."""
        return to_html(self.words)


@dataclass(frozen=True)
class Tip:
    """A tip, or a tool, in every language."""

    slug: str
    topic: Topic
    published: date
    tool: Tool | None
    text: Mapping[str, Text]


@dataclass(frozen=True)
class Library:
    """Every tip, in the order of the topics; within a topic the newest first."""

    tips: tuple[Tip, ...] = ()

    def on(self, day: date) -> list[Tip]:
        """What is published on this day."""
        return [tip for tip in self.tips if tip.published <= day]

    def newest(self, most: int, *, on: date) -> list[Tip]:
        """The last ones that were published, newest first."""
        return sorted(self.on(on), key=lambda tip: tip.published, reverse=True)[:most]

    def find(self, slug: str, *, on: date) -> Tip | None:
        """The tip with this slug, if it is published on this day."""
        return next((tip for tip in self.on(on) if tip.slug == slug), None)

    def titles(self, locale: str) -> dict[str, str]:
        """What the tips are called in this language, by slug."""
        return {tip.slug: tip.text[locale].title for tip in self.tips}

    def after(self, tip: Tip, *, on: date) -> Tip | None:
        """The next one of the list, the first again after the last; None if there is no other."""
        shown = self.on(on)
        following = shown[(shown.index(tip) + 1) % len(shown)]
        return following if following != tip else None


def load(content: Path) -> Library:
    """Read every tip; none where there is no such folder. Raises ContentError."""
    folder = content / "tips"
    files = sorted(folder.glob("*")) if folder.is_dir() else []
    if not files:
        return Library()
    topics = _topics(content / "topics.toml")
    order = {topic.id: place for place, topic in enumerate(topics)}
    tips = [_tip(folder, slug, topics) for slug in sorted({_slug(path) for path in files})]
    tips.sort(key=lambda tip: (order[tip.topic.id], -tip.published.toordinal(), tip.slug))
    return Library(tuple(tips))


def _topics(path: Path) -> list[Topic]:
    found = []
    for values in read_toml(path).get("topic", []):
        where = f"{path} {values.get('id', '?')}"
        names = {
            locale: table.get("name") for locale, table in in_each_language(values, where).items()
        }
        if missing := [locale for locale, name in names.items() if not name]:
            raise ContentError(f"{where}: no name in {', '.join(missing)}")
        found.append(build(Topic, values, where, name=names))
    return found


def _slug(path: Path) -> str:
    """The slug of a file's name. Raises ContentError for a file that has no business here."""
    slug, _, language = path.name.removesuffix(".md").partition(".")
    if path.suffix != ".md" or language not in LOCALES or not _SLUG.fullmatch(slug):
        raise ContentError(
            f"{path}: a tip is a file <slug>.<language>.md; the slug is in small letters, digits "
            f"and hyphens, the language one of {', '.join(LOCALES)}"
        )
    return slug


def _tip(folder: Path, slug: str, topics: list[Topic]) -> Tip:
    parts = {locale: _read(folder / f"{slug}.{locale}.md") for locale in LOCALES}
    first, *others = ({**fields} for fields, _ in parts.values())
    for key in ("topic", "published", "tool"):
        if any(fields.get(key) != first.get(key) for fields in others):
            raise ContentError(f"{folder / slug}: {key} is not the same in every language")
    where = str(folder / f"{slug}.{next(iter(LOCALES))}.md")
    topic = next((one for one in topics if one.id == first["topic"]), None)
    if topic is None:
        raise ContentError(f"{where}: topics.toml has no topic {first['topic']}")
    return Tip(
        slug=slug,
        topic=topic,
        published=_day(first["published"], where),
        tool=_tool(first.get("tool"), where),
        text={
            locale: Text(fields["title"], fields["summary"], words)
            for locale, (fields, words) in parts.items()
        },
    )


def _read(path: Path) -> tuple[dict[str, str], str]:
    """The lines between `---`, and what follows them."""
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError as error:
        raise ContentError(f"{path} is missing: a tip is there in every language") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ContentError(f"{path}: {error}") from error
    head, fence, words = text.removeprefix("---\n").partition("\n---\n")
    if not text.startswith("---\n") or not fence:
        raise ContentError(f"{path}: the file begins with its fields, between two lines of ---")
    fields = dict(_fields(head, path))
    if missing := sorted(_FIELDS - fields.keys()):
        raise ContentError(f"{path}: {', '.join(missing)} is missing")
    if not words.strip():
        raise ContentError(f"{path}: there are no words")
    if _HEADING.search(words):
        raise ContentError(f"{path}: the title is the only heading of the first level")
    return fields, words


def _fields(head: str, path: Path) -> Iterator[tuple[str, str]]:
    seen = set()
    for line in head.splitlines():
        name, _, value = (part.strip() for part in line.partition(":"))
        if name not in _FIELDS | {"tool"} or name in seen or not value:
            raise ContentError(f"{path}: this line says nothing that a tip has: {line}")
        seen.add(name)
        yield name, value


def _day(text: str, where: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise ContentError(f"{where}: published is a date as 2026-11-02, not {text}") from error


def _tool(text: str | None, where: str) -> Tool | None:
    if text is None:
        return None
    try:
        return Tool(text)
    except ValueError as error:
        raise ContentError(f"{where}: there is no tool {text}; tools: {', '.join(Tool)}") from error
