"""The arrangement of the choices, which decisions name by its number."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest
from bs4 import Tag

from database import Database
from domain.consent import presentations
from domain.consent.purposes import PurposeRegister
from domain.locales import LOCALES
from tests.support import NOON
from tests.support.browser import Browser, Page
from tests.support.mails import Mails
from tests.support.people import become_customer

LAYOUTS = Path(__file__).parent.parent / "templates" / "presentations"
# A presentation says which layout showed it, and the history shows it so for years. Were these
# bytes changed, old decisions would be shown as they never looked: another look is another file.
FROZEN = {
    "layout_1.html": "56044560497eb7684abc070b2a4e9068796480ed113edf6dd98847fff179fe33",
    "layout_2.html": "26750d500e0cb6ab663deea94b568dc62073ff55d79aedcb0de36db6bed82da4",
    "layout_3.html": "7b1de56bcddb1d85f86f445f07913087e2cfb820954352a4ad6875275ac1f2f5",
}

pytestmark = pytest.mark.usefixtures("clock")


@pytest.mark.requirement(45)
def test_layouts_do_not_change_any_more() -> None:
    """If this fails, put the file back and make layout_2.html, and raise `layout` of the surface
    in purposes.toml."""
    found = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in LAYOUTS.glob("*.html")
    }
    assert found == FROZEN


def test_every_surface_has_a_layout(register: PurposeRegister) -> None:
    """What `purposes.toml` names is there."""
    for surface in register.surfaces.values():
        assert (LAYOUTS / f"layout_{surface.layout}.html").exists()


def words(part: Tag) -> list[str]:
    """The visible strings, in order."""
    return [" ".join(text.split()) for text in part.stripped_strings]


def choices(page: Page) -> Tag:
    """The part of a page that is the presentation."""
    (part,) = {box.find_parent("fieldset") for box in page.soup.select(".consent")}
    assert isinstance(part, Tag)
    return part


def expected(database: Database, surface: str, locale: str) -> tuple[list[str], str]:
    """The words that the presentation of now says are shown, and the button's."""
    with database.reading() as session:
        content = presentations.current(session, surface, locale, at=NOON).content
    shown = [content["heading"], content["introduction"]]
    for one in content["purposes"]:
        shown += [one["label"], *one["wording"].splitlines()]
    return [*shown, content["notice"]["label"]], content["button"]


@pytest.mark.requirement(12, 14, 45, 89)
@pytest.mark.parametrize("locale", LOCALES)
def test_the_registration_form_shows_exactly_the_words_that_are_stored(
    client: Browser, database: Database, locale: str
) -> None:
    """Every visible string of the choices, in order, and the button that sends them."""
    page = client.get(f"/register?lang={locale}")
    shown, button = expected(database, "register", locale)
    assert words(choices(page)) == shown
    assert [words(one) for one in page.soup.select("form.form .actions button")] == [[button]]


@pytest.mark.requirement(12, 33, 45)
@pytest.mark.parametrize("locale", LOCALES)
def test_the_preferences_page_adds_the_state_and_no_other_word(
    visitor: Callable[..., Browser], mails: Mails, database: Database, locale: str
) -> None:
    """What stands beside the words of the presentation is marked as the state."""
    ingrid = visitor(locale=locale)
    become_customer(ingrid, mails)
    page = ingrid.get(f"/preferences?lang={locale}")
    part = choices(page)
    for state in part.select(".state"):
        state.decompose()
    shown, button = expected(database, "preferences", locale)
    assert words(part) == shown
    assert [words(one) for one in page.soup.select("form.form .actions button")] == [[button]]


@pytest.mark.requirement(12, 23, 45, 89)
@pytest.mark.parametrize("locale", LOCALES)
def test_the_section_shows_exactly_the_words_that_are_stored(
    client: Browser, database: Database, locale: str
) -> None:
    """Every visible string of the visitors' choice, in order, with the three buttons."""
    (section,) = client.get(f"/tips?lang={locale}").soup.select("section.visitor")
    with database.reading() as session:
        content = presentations.current(session, "visitor", locale, at=NOON).content
    (*shown, notice), button = expected(database, "visitor", locale)
    buttons = [button, content["accept"], content["refuse"]]
    assert words(section) == [*shown, content["necessary"], notice, *buttons]


@pytest.mark.requirement(45)
def test_the_history_shows_exactly_what_was_stored(
    visitor: Callable[..., Browser], mails: Mails, database: Database
) -> None:
    """The same strings in the same order and language, whatever language the page is in now;
    nothing in the picture can be answered."""
    ingrid = visitor(locale="nn")
    become_customer(ingrid, mails)
    page = ingrid.get("/preferences/history?lang=en")
    target = str(page.soup.select(".history a")[0]["href"])
    page = ingrid.get(target)
    (part,) = page.soup.select(".shown")
    shown, button = expected(database, "register", "nn")
    assert part["lang"] == "nn"
    assert words(part) == [*shown, button]
    assert part.select("input, button")
    assert all(one.has_attr("disabled") for one in part.select("input, button"))
    assert not part.select("[name]")
