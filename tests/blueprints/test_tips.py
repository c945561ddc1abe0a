"""Tips and tools: open to everybody, the same for everybody, counted for who said yes."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import select
from time_machine import Traveller

from database import Database
from domain.analytics.models import UsageEvent
from domain.locales import LOCALES
from tests.support.browser import Browser, Page
from tests.support.mails import Mails
from tests.support.people import Guest, become_customer

Visitors = Callable[..., Browser]
TIP, NEXT, CLOTHES = "calmer-mornings", "clothes-for-the-weather", "clothes-for-the-weather"
FROST = f"/tips/{CLOTHES}?temperature=-3&weather=dry"
sqlite_only = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)


def accept(browser: Browser, answer: str = "accept") -> Browser:
    """Say yes, or no, to everything that visitors are asked."""
    page = browser.get("/consent")
    browser.submit(page, page.form({}, "/consent"), {}, button=answer)
    return browser


def counted(database: Database) -> set[tuple[str, str, str]]:
    """What was counted: tip, what was done, language."""
    with database.reading() as session:
        rows = session.execute(select(UsageEvent.item, UsageEvent.kind, UsageEvent.locale))
        return {(row.item, row.kind, row.locale) for row in rows}


def answer(browser: Browser, value: str = "yes", **headers: str) -> Page:
    """«Was this useful?»"""
    page = browser.get(f"/tips/{TIP}")
    form = page.form({}, f"/tips/{TIP}")
    return browser.submit(page, form, {}, button=value, **headers)


@pytest.mark.requirement(89)
@sqlite_only
def test_every_tip_is_there_in_every_language(app: Flask, visitor: Visitors) -> None:
    """Listed with its summary, and at one address for all languages."""
    for locale in LOCALES:
        browser = visitor(locale=locale)
        listed = browser.get("/tips").soup.select("main .card")
        assert len(listed) >= 10
        for card, tip in zip(listed, app.extensions["tips"].tips, strict=True):
            assert tip.text[locale].summary in card.get_text()
            link = card.select_one("h3 a")
            assert link
            page = browser.get(str(link["href"]))
            assert page.path == f"/tips/{tip.slug}"
            assert page.soup.h1
            assert page.soup.h1.get_text() == tip.text[locale].title
            words = page.soup.select_one("article")
            assert words
            assert len(words.get_text().split()) > 100


@sqlite_only
def test_a_tip_that_is_not_published_yet_is_not_there(visitor: Visitors, clock: Traveller) -> None:
    """Neither its page nor the way to it, nor an answer about it."""
    browser = visitor()
    clock.shift(timedelta(days=-100))
    assert not browser.get("/tips").soup.select(f'a[href^="/tips/{TIP}"]')
    assert browser.get(f"/tips/{TIP}").status == 404
    sent = browser.send(f"/tips/{TIP}", {"useful": "yes"}, Sec_Fetch_Site="same-origin")
    assert sent.status == 404


def _same(page: Page) -> str:
    """A page without what is made anew for each answer."""
    again = re.sub(r'nonce="[^"]+"', "", page.html)
    return re.sub(r'name="csrf_token" value="[^"]+"', "", again)


@pytest.mark.requirement(2, 36)
@sqlite_only
@pytest.mark.parametrize("who", ["visitor", "member"])
def test_a_page_is_the_same_whatever_was_consented_to(
    visitor: Visitors, mails: Mails, clock: Traveller, who: str
) -> None:
    """Byte for byte: reading, a tool, what comes of it, and the thanks for an answer."""
    yes, no = visitor(), visitor()
    if who == "visitor":
        accept(yes), accept(no, "refuse")
        clock.shift(timedelta(minutes=1))  # until then each page says that the choice is saved
    else:
        choices = {"analytics": True, "marketing": True}
        become_customer(yes, mails, Guest(email="ja@kunde.example", choices=choices))
        become_customer(no, mails, Guest(email="nei@kunde.example"))
    for path in ("/tips", f"/tips/{TIP}", f"/tips/{NEXT}?after={TIP}", FROST, "/tips/nothing"):
        assert _same(yes.get(path)) == _same(no.get(path)), path
    assert _same(answer(yes)) == _same(answer(no))


@pytest.mark.requirement(19)
def test_what_is_done_is_counted_of_who_said_yes(visitor: Visitors, database: Database) -> None:
    """Read, used, finished by going on or by answering, useful or not; of nobody else."""
    yes, no, silent = accept(visitor(locale="nn")), accept(visitor(), "refuse"), visitor()
    for browser in (no, silent):
        browser.get(f"/tips/{NEXT}?after={TIP}")
        browser.get(FROST)
        answer(browser)
    assert counted(database) == set()
    yes.get("/tips")
    assert counted(database) == set()
    yes.get(f"/tips/{TIP}")
    assert counted(database) == {(TIP, "read", "nn")}
    yes.get(f"/tips/{NEXT}?after={TIP}")
    done = {(TIP, "read", "nn"), (TIP, "finished", "nn"), (NEXT, "read", "nn")}
    assert counted(database) == done
    yes.get(f"/tips/{CLOTHES}?temperature=warm&weather=dry")
    assert counted(database) == done, "a form that was filled in wrongly gave nothing"
    yes.get(FROST)
    assert counted(database) == done | {(CLOTHES, "used", "nn")}
    answer(yes, "no")
    assert counted(database) == done | {(CLOTHES, "used", "nn"), (TIP, "not_useful", "nn")}


@pytest.mark.requirement(19)
@pytest.mark.parametrize(("path", "read"), [(f"/tips/{NEXT}?after={TIP}", NEXT), (FROST, CLOTHES)])
def test_what_was_done_before_the_yes_is_not_counted(
    visitor: Visitors, database: Database, path: str, read: str
) -> None:
    """Answered on the page that a tip, or a tool, led to, one comes back to that page: it is read
    from then on, and what its address tells besides was before."""
    browser = visitor()
    page = browser.get(path)
    page = browser.submit(page, page.form({}, "/consent"), {}, button="accept")
    page.response.close()
    assert page.path == path
    assert counted(database) == {(read, "read", "nb")}


@sqlite_only
def test_what_nobody_opened_is_not_counted(visitor: Visitors, database: Database) -> None:
    """A question for the headers, a page fetched in case it is wanted, a tip that never was, a
    page that is not there."""
    browser = accept(visitor())
    browser.get(f"/tips/{TIP}", method="HEAD")
    browser.get(f"/tips/{TIP}", Sec_Purpose="prefetch;prerender")
    browser.get(f"/tips/{TIP}", Purpose="prefetch")
    browser.get(f"/tips/nothing?after={TIP}")
    assert counted(database) == set()
    for before in ("nothing", TIP, "../../x", "x" * 5000):
        browser.get(f"/tips/{TIP}?after={before}")
    assert counted(database) == {(TIP, "read", "nb")}


@pytest.mark.requirement(19)
@sqlite_only
def test_everybody_may_answer_and_leaves_nothing_behind(
    visitor: Visitors, database: Database
) -> None:
    """Thanks for yes and for no, and no cookie; anything else is no answer. That other sites
    cannot answer in anybody's name, tests/test_csrf.py holds."""
    browser, stranger = accept(visitor()), visitor()
    for wrong in ({}, {"useful": "maybe"}, {"useful": ""}):
        sent = browser.send(f"/tips/{TIP}", wrong, Sec_Fetch_Site="same-origin")
        assert sent.status == 400
    assert counted(database) == set()
    for value in ("yes", "no"):
        page = answer(stranger, value)
        assert page.soup.select_one("main [role=status]")
        assert not page.soup.select('button[name="useful"]')
        assert "Set-Cookie" not in page.headers


@sqlite_only
def test_a_tool_answers_by_its_address(visitor: Visitors) -> None:
    """What it said can be kept as a bookmark. It works without a script, and so without one."""
    browser = visitor(locale="en")
    page = browser.get(f"{FROST}&wind=y")
    found = page.soup.select_one("#result")
    assert found
    assert "\N{MINUS SIGN}6 degrees" in found.get_text()
    assert "lined winter suit" not in browser.get(f"/tips/{CLOTHES}").text
    page = browser.get("/tips/morning-planner?leave=07:30&wake=&breakfast=20&spare=0")
    times = [row.get_text(" ", strip=True) for row in page.soup.select("#result tbody tr")]
    assert times[0] == "06:25 Breakfast 20"
    assert times[-1] == "07:30 Out of the door"
    assert not any("Wake" in one or "Spare" in one for one in times)


@pytest.mark.requirement(86)
@sqlite_only
@pytest.mark.parametrize(
    ("tool", "query", "wrong"),
    [
        (CLOTHES, "temperature=&weather=dry", ["temperature"]),
        (CLOTHES, "temperature=36&weather=hail", ["temperature", "weather-0"]),
        (CLOTHES, f"temperature={'9' * 5000}&weather=dry", ["temperature"]),
        (CLOTHES, "wind=y", ["temperature"]),
        ("morning-planner", "leave=25:00", ["leave"]),
        ("morning-planner", "leave=07:30&pack=91&spare=-1", ["pack", "spare"]),
        ("morning-planner", "pack=<script>", ["leave", "pack"]),
    ],
)
def test_a_tool_says_what_to_put_right(
    visitor: Visitors, tool: str, query: str, wrong: list[str]
) -> None:
    """One message for each field, and nothing of what came to be."""
    page = visitor(locale="nn").get(f"/tips/{tool}?{query}")
    assert page.status == 422
    links = page.soup.select(".summary a")
    assert [str(link["href"]) for link in links] == [f"#{one}" for one in wrong]
    assert all(page.soup.find(id=one) for one in wrong)
    assert not page.soup.select("#result, main script")
