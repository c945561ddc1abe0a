"""The catalogues: everything is said in each language, and as its readers say it."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from gettext import GNUTranslations
from pathlib import Path
from typing import Any

import pytest
from babel.messages.catalog import Catalog, Message
from babel.messages.extract import DEFAULT_KEYWORDS, extract_from_dir, extract_from_file
from babel.messages.frontend import parse_keywords, parse_mapping_cfg
from babel.messages.pofile import read_po

from domain.locales import LOCALES
from settings import ROOT
from tests.support.languages import NORWEGIAN, WORD, strange

# As they stand in the Makefile: a name that is missing there is a word that nobody translates.
MAKEFILE = (ROOT / "Makefile").read_text("utf-8")
KEYWORDS = {**DEFAULT_KEYWORDS, **parse_keywords(re.findall(r"--keywords (\S+)", MAKEFILE))}
PLACEHOLDER = re.compile(r"%\(\w+\)[sd]")


def catalogue(locale: str) -> Catalog:
    """What the translators write."""
    path = ROOT / "translations" / locale / "LC_MESSAGES" / "messages.po"
    with path.open("rb") as file:
        return read_po(file, locale=locale)


def messages(locale: str) -> Iterator[Message]:
    """Its messages, without the header."""
    return (one for one in catalogue(locale) if one.id)


# --- The catalogues ---------------------------------------------------------------------------


@pytest.mark.requirement(89)
@pytest.mark.parametrize("locale", LOCALES)
def test_every_message_is_translated(locale: str) -> None:
    """None is empty or waits for somebody to look at it."""
    assert [one.id for one in messages(locale) if not one.string or one.fuzzy] == []
    assert list(catalogue(locale).obsolete) == []


@pytest.mark.requirement(89)
@pytest.mark.parametrize("locale", LOCALES)
def test_translations_keep_what_is_filled_in(locale: str) -> None:
    """The same placeholders, the same blanks around it, and a colon where something follows."""
    for one in messages(locale):
        told, asked = str(one.string), str(one.id)
        assert set(PLACEHOLDER.findall(told)) == set(PLACEHOLDER.findall(asked)), told
        assert told == told.strip(), told
        assert told.endswith(":") == asked.endswith(":"), told
        assert not list(one.check()), told


def _read() -> set[str]:
    """What `make translations` reads out of the code."""
    with (ROOT / "babel.cfg").open(encoding="utf-8") as file:
        methods, options = parse_mapping_cfg(file)  # type: ignore[no-untyped-call]
    found = extract_from_dir(ROOT, methods, options, KEYWORDS)
    return {str(message) for _file, _line, message, _comments, _context in found}


def _ours(pattern: str) -> Iterator[Path]:
    for path in sorted(ROOT.rglob(pattern)):
        folder = path.relative_to(ROOT).parts[0]
        if not folder.startswith(".") and folder not in ("tests", "tools", "bench", "instance"):
            yield path


@pytest.mark.requirement(89)
@pytest.mark.parametrize("locale", LOCALES)
def test_the_catalogues_hold_what_the_code_says(locale: str) -> None:
    """No message is missing and none is left over. If one is: make translations."""
    assert {str(one.id) for one in messages(locale)} == _read()


@pytest.mark.requirement(89)
def test_no_file_with_words_is_passed_over() -> None:
    """Whatever says something to a reader is named in babel.cfg."""
    written = set()
    for path in _ours("*.py"):
        for found in extract_from_file("python", path, KEYWORDS):
            written.add(str(found[1]))
    assert written <= _read()


@pytest.mark.requirement(89)
def test_words_are_collected_under_each_name_that_marks_them() -> None:
    """`from flask_babel import lazy_gettext as __` is of no use if `__` is not looked for."""
    for path in _ours("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module == "flask_babel":
                names = {one.asname or one.name for one in node.names if "gettext" in one.name}
                assert names <= set(KEYWORDS), path


@pytest.mark.requirement(89)
@pytest.mark.parametrize("locale", LOCALES)
def test_what_is_compiled_is_what_was_written(locale: str) -> None:
    """The site reads the .mo files. If they are old: make test, which compiles them."""
    compiled = ROOT / "translations" / locale / "LC_MESSAGES" / "messages.mo"
    with compiled.open("rb") as file:
        read = GNUTranslations(file)
    for one in messages(locale):
        assert read.gettext(str(one.id)) == one.string


# --- The words --------------------------------------------------------------------------------


@pytest.mark.requirement(89)
@pytest.mark.parametrize("locale", NORWEGIAN)
def test_catalogues_speak_their_own_language(locale: str) -> None:
    """No English is left, nynorsk is not bokmål with other endings, and bokmål not the reverse."""
    for one in messages(locale):
        assert strange(PLACEHOLDER.sub("", str(one.string)), locale) == [], one.string


@pytest.mark.requirement(89)
def test_whole_sentences_differ_between_bokmal_and_nynorsk() -> None:
    """Short ones may be the same; nobody has copied a long one."""
    nynorsk = {one.id: one.string for one in messages("nn")}
    for one in messages("nb"):
        if len(str(one.id)) > 60:
            assert one.string != nynorsk[one.id]


def _contents(locale: str) -> Iterator[str]:
    """What `content/` says in a language: notices, tips, and its tables of the other files."""
    for path in sorted((ROOT / "content" / "notices").rglob(f"{locale}.md")):
        yield path.read_text("utf-8")
    for path in sorted((ROOT / "content" / "tips").glob(f"*.{locale}.md")):
        yield path.read_text("utf-8")
    for path in sorted((ROOT / "content").glob("*.toml")):
        tables: list[object] = [tomllib.loads(path.read_text("utf-8"))]
        for table in tables:
            if isinstance(table, dict):
                yield from _words(table.get(locale, {}))
                tables += table.values()
            elif isinstance(table, list):
                tables += table


def _words(table: dict[str, Any]) -> Iterator[str]:
    for value in table.values():
        if isinstance(value, dict):
            yield from _words(value)
        else:
            yield str(value)


@pytest.mark.requirement(89)
@pytest.mark.parametrize("locale", NORWEGIAN)
def test_notices_and_purposes_speak_their_own_language(locale: str) -> None:
    """What the operator writes is held to the same words as the pages."""
    written = list(_contents(locale))
    assert len(written) > 50
    for prose in written:
        plain = re.sub(r"\]\([^)]*\)|`[^`]*`|\S+@\S+|\[\[\w+\]\]", " ", prose)
        assert strange(plain, locale) == [], prose[:80]


@pytest.mark.requirement(18)
@pytest.mark.parametrize(
    ("locale", "pressing"),
    [
        ("nb", "dessverre synd beklager trist savne savner gå_glipp belønning rabatt gratulerer"),
        ("nn", "dessverre synd beklagar trist sakne saknar gå_glipp belønning rabatt gratulerer"),
        ("en", "unfortunately sorry sad miss missing regret reward discount congratulations hurry"),
    ],
)
def test_no_message_presses_anybody(locale: str, pressing: str) -> None:
    """No guilt, no urgency, no reward for a yes, and nobody shouts."""
    purposes = (ROOT / "content" / "purposes.toml").read_text("utf-8")
    for words in (*(str(one.string) for one in messages(locale)), purposes):
        plain = words.lower().replace("gå glipp", "gå_glipp")
        assert not set(WORD.findall(plain)) & set(pressing.split()), words
    loud = re.compile(r"!.|[A-ZÆØÅ]{6,}")
    assert [one.string for one in messages(locale) if loud.search(str(one.string))] == []
