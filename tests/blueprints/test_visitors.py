"""The visitors' choice over HTTP: the section, the page, the cookies."""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from urllib.parse import urlsplit

import pytest
from flask import Flask
from time_machine import Traveller

from database import Database
from domain.consent.purposes import PurposeRegister
from domain.identity import limits
from domain.identity.limits import Limit, LimitKind
from domain.ledger.receipts import Receipt
from domain.locales import LOCALES
from tests.blueprints.visiting import GPC, TIP, Visitors, asks, box, choose, counted
from tests.support.browser import Browser, Page
from tests.support.mails import Mails
from tests.support.tables import contents, count, decided

pytestmark = pytest.mark.usefixtures("clock")


@pytest.mark.requirement(10, 22, 23, 24, 25, 26)
@pytest.mark.parametrize("path", ["/", "/tips", TIP])
def test_the_section_comes_first_and_hides_nothing(client: Browser, path: str) -> None:
    """Before the link that leads past everything; an empty box, the necessary in words, three
    buttons; no part of it is a dialogue, and none is ticked."""
    soup = client.get(path).soup
    (section,) = soup.select("section.visitor")
    assert soup.body
    assert next(soup.body.find_all(True, recursive=False).__iter__()) is section
    heading = soup.find(id=str(section["aria-labelledby"]))
    assert heading
    assert not section.has_attr("role")
    assert not soup.select("[role=dialog], [role=alertdialog], [role=alert], dialog")
    (only,) = section.select("input[type=checkbox]")
    assert (only["name"], only.has_attr("checked")) == ("consent-analytics", False)
    assert [str(one["value"]) for one in section.select("button")] == ["save", "accept", "refuse"]
    assert len({str(one["class"]) for one in section.select("button")}) == 1


@pytest.mark.requirement(14, 17, 19, 28, 29)
@pytest.mark.parametrize(
    ("button", "ticked", "state"),
    [
        *(("accept", {}, "given"), ("refuse", {}, "refused"), ("save", {}, "refused")),
        ("save", {"consent-analytics": True}, "given"),
        ("refuse", {"consent-analytics": True}, "refused"),
    ],
)
def test_an_answer_comes_back_to_the_page_and_is_not_asked_for_again(
    client: Browser,
    database: Database,
    clock: Traveller,
    button: str,
    ticked: Mapping[str, bool],
    state: str,
) -> None:
    """One entry about nobody; the page as it was, with its address, where it is said for a moment
    that the choice is saved; a mark in the browser and a row here only for a yes."""
    page = client.get(f"{TIP}?after=rainy-days")
    assert client.cookie("choice") is None
    page = client.submit(page, page.form({}, "/consent"), ticked, button=button)
    assert (page.status, page.path) == (200, f"{TIP}?after=rainy-days")
    assert page.soup.select("main [role=status]"), "it says that the choice is saved"
    assert not any(asks(client, path) for path in ("/", "/tips", TIP))
    assert decided(database) == [(state, "analytics")]
    assert not contents(database)["entry_link"]
    yes = state == "given"
    assert (client.cookie("counting") is not None) == yes
    assert count(database, "usage_key") == yes
    assert client.cookie("session") is None
    assert counted(client, database) == yes
    clock.shift(timedelta(minutes=1))
    assert not client.get(TIP).soup.select("main [role=status]"), "once, and not for ever"


@pytest.mark.requirement(19, 28, 32)
def test_a_withdrawal_takes_mark_key_and_events(client: Browser, database: Database) -> None:
    """One press, as for the yes; then there is nothing, and nothing comes."""
    choose(client, "accept")
    assert counted(client, database)
    choose(client, "refuse", "/consent")
    assert client.cookie("counting") is None
    for table in ("usage_key", "usage_event"):
        assert count(database, table) == 0, table
    assert not counted(client, database)
    assert decided(database) == [("given", "analytics"), ("withdrawn", "analytics")]


@pytest.mark.requirement(52)
def test_a_visitor_sees_what_was_counted_in_this_browser_and_nobody_elses(
    visitor: Visitors, database: Database, clock: Traveller
) -> None:
    """Newest first, in words, by the day; nothing where nothing is counted."""
    browser, other = visitor(locale="en"), visitor(locale="en")
    for one in (browser, other):
        assert not one.get("/consent").soup.select("#counted")
        choose(one, "accept", "/consent")
    assert "Nothing yet." in browser.get("/consent").text
    other.get("/tips/rainy-days").response.close()
    browser.get(TIP).response.close()
    clock.shift(timedelta(days=1))
    browser.send("/tips/sharing-the-tasks", {"useful": "yes"}, Sec_Fetch_Site="same-origin")
    rows = browser.get("/consent").soup.select("table tbody tr")
    told = [[cell.get_text(strip=True) for cell in row.select("th, td")] for row in rows]
    chores, calmer = (
        "Share the tasks, not just the chores",
        "Calmer mornings begin the night before",
    )
    assert told == [
        [chores, "You came to the end", "23 November 2026", "English"],
        [chores, "You found it useful", "23 November 2026", "English"],
        [calmer, "You read it", "22 November 2026", "English"],
    ]
    choose(browser, "refuse", "/consent")
    assert not browser.get("/consent").soup.select("#counted")


@pytest.mark.requirement(20)
def test_with_necessary_storage_alone_there_is_no_section_and_no_control(
    client: Browser, app: Flask, register: PurposeRegister
) -> None:
    """Nothing is asked, nothing can be answered, and the foot leads to the cookies only."""
    surfaces = {name: one for name, one in register.surfaces.items() if name != "visitor"}
    page = client.get("/consent")
    app.extensions["database"].info["purposes"] = replace(register, surfaces=surfaces)
    for path in ("/", "/tips", TIP):
        soup = client.get(path).soup
        assert not soup.select("section.visitor, footer a[href='/consent']")
    assert client.submit(page, page.form({}, "/consent"), {}, button="accept").status == 404
    assert not client.get("/consent").forms()
    assert "counting" not in client.get("/cookies").text


@pytest.mark.requirement(31)
def test_the_signal_is_a_no_until_somebody_says_otherwise_here(
    client: Browser, database: Database
) -> None:
    """Nothing is asked and nothing counted; /consent says why; a yes on it counts here, and one
    from before the signal does not. Only "1" is the signal."""
    for value in ("0", "true", "11", ""):
        assert asks(client, **{"Sec-GPC": value})
    assert not asks(client, **GPC)
    assert client.get("/consent", **GPC).soup.select(".note")
    assert not client.get("/consent").soup.select(".note")
    choose(client, "accept")
    assert counted(client, database)
    assert not counted(client, database, **GPC)
    assert not box(client, "/consent", **GPC)
    choose(client, "accept", "/consent", **GPC)
    assert counted(client, database, **GPC)
    assert box(client, "/consent", **GPC)
    assert decided(database) == [("given", "analytics"), ("renewed", "analytics")]


@pytest.mark.requirement(29)
@pytest.mark.parametrize("sealed", ["", "x", "x.y", "e30.AAAA", "[{}]", "é" * 5000])
def test_a_choice_that_somebody_made_up_is_none(app: Flask, client: Browser, sealed: str) -> None:
    """The page asks as if there were no cookie."""
    for mark in ("", f"; counting={'A' * 32}"):
        answer = app.test_client().get(TIP, headers={"Cookie": f"choice={sealed}{mark}"})
        assert answer.status_code == 200
        assert b'class="visitor"' in answer.data


def test_a_form_of_ours_is_known_by_either_header(client: Browser, database: Database) -> None:
    """An old browser names the origin alone; nobody else's form is taken (tests/test_csrf.py)."""
    page = client.get("/consent")
    token = page.soup.select_one("main [name=presentation]")
    assert token
    data = {"presentation": str(token["value"]), "answer": "accept"}
    assert client.send("/consent", data).status == 403
    own = "{0.scheme}://{0.netloc}".format(urlsplit(page.url))
    assert client.send("/consent", data, Origin=own).status == 303
    assert decided(database) == [("given", "analytics")]


@pytest.mark.parametrize(
    "back",
    ["//elsewhere.example/", "/\\elsewhere.example", "https://elsewhere.example/", "tips", "/a\nb"],
)
def test_an_answer_leads_to_no_other_site(client: Browser, back: str) -> None:
    """What is no path of ours leads to the page of the choice, whatever the browser says of where
    it came from."""
    token = client.get("/consent").soup.select_one("main [name=presentation]")
    assert token
    data = {"presentation": str(token["value"]), "answer": "refuse", "next": back}
    ours = {"Sec-Fetch-Site": "same-origin", "Referer": "http://["}
    sent = client.send("/consent", data, **ours)
    assert (sent.status, urlsplit(sent.headers["Location"]).path) == (303, "/consent")


@pytest.mark.requirement(45)
@pytest.mark.parametrize("token", ["", "x", None])
def test_other_words_than_the_current_ones_record_nothing(
    client: Browser, database: Database, clock: Traveller, token: str | None
) -> None:
    """The page shows the current ones, says so, and leads back to where the person was."""
    page = client.get(TIP)
    if token is None:
        clock.shift(13 * 3600)
    filled = {} if token is None else {"presentation": token}
    shown = client.submit(page, page.form({}, "/consent"), filled, button="accept")
    assert shown.status == 422
    assert shown.soup.select_one(".summary[autofocus]")
    assert not decided(database)
    assert client.cookie("choice") is None
    again = client.submit(shown, shown.form({}, "/consent"), {}, button="accept")
    assert (again.status, again.path) == (200, TIP)


def test_a_no_is_never_too_often(
    client: Browser, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over the limit a yes is asked to wait; a no is kept all the same, and leaves no entry."""
    monkeypatch.setitem(limits.LIMITS, LimitKind.CHOICE, (Limit("ip", 1, limits._HOUR),))
    choose(client, "accept")
    choose(client, "refuse", "/consent")
    assert client.cookie("counting") is None
    assert not box(client, "/consent")
    assert decided(database) == [("given", "analytics")]
    refused = choose(client, "accept", "/consent")
    assert refused.status == 429
    assert refused.soup.select_one(".summary time")
    assert not counted(client, database)


@pytest.mark.requirement(29, 34, 45)
@pytest.mark.parametrize("locale", LOCALES)
def test_a_visitor_has_a_receipt_that_verifies(
    visitor: Visitors, mails: Mails, locale: str
) -> None:
    """By the cookie, in words and as a file with the words as they were shown; without the cookie
    there is none."""
    browser = visitor(locale=locale)
    assert browser.get("/consent/receipt").status == 404
    choose(browser, "accept")
    mails.deliver()
    page = browser.get("/consent/receipt")
    assert page.status == 200
    (shown,) = page.soup.select(".shown")
    assert shown["lang"] == locale
    assert shown.select_one("input[checked][disabled]")
    file = browser.get(str(page.soup.select("a[download]")[0]["href"])).response.get_data()
    receipt = Receipt.parse(file)
    assert b'"surface":"visitor"' in receipt.entry
    assert receipt.presentation
    checked = browser.post("/ledger/verify", {"text": file.decode()})
    assert checked.soup.select_one("[role=status] .success")
    assert visitor().get("/consent/receipt?purpose=analytics").status == 404


def zipped(page: Page) -> int:
    """What a page weighs on the wire."""
    return len(gzip.compress(page.html.encode(), 6))


@pytest.mark.requirement(88)
@pytest.mark.parametrize("locale", LOCALES)
def test_the_section_weighs_at_most_two_kilobytes(visitor: Visitors, locale: str) -> None:
    """With and without it, compressed: the page alone, for it asks for nothing more."""
    browser = visitor(locale=locale)
    before = browser.get(TIP)
    choose(browser, "refuse")
    after = browser.get(TIP)
    assert 0 < zipped(before) - zipped(after) <= 2_000
    linked = [[one.get("href") for one in page.soup.select("link")] for page in (before, after)]
    assert linked[0] == linked[1]
    assert not before.soup.select("section.visitor [src], section.visitor script")
