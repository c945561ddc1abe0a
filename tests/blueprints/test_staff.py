"""The pages of those who work here: newsletters from the first word to the last mail."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from urllib.parse import urljoin

import pytest
from bs4 import BeautifulSoup
from flask import Flask

from database import Database
from domain.delivery.transports import SmtpTransport
from domain.identity import accounts
from domain.marketing import campaigns
from domain.marketing.campaigns import Text
from domain.marketing.sending import Sender
from tests.support.browser import Browser, Page
from tests.support.mails import Mails, link_in, text
from tests.support.people import EMAIL, Guest, become_customer

# What the database has to do with it stands in tests/domain/test_sending.py and
# tests/commands/test_campaign.py.
pytestmark = pytest.mark.parametrize("backend", ["sqlite"])

Visitors = Callable[..., Browser]

PATHS = ("/staff/", "/staff/campaigns", "/staff/campaigns/new")
READER = Guest(email="leser@kunde.example", name="Lise Leser", choices={"marketing": True})
WRITTEN = {
    "subject_nb": "Nye tips",
    "words_nb": "# Grøt\n\nLes [mer](/tips/grot).",
    "subject_nn": "Nye tips",
    "words_nn": "Les *meir*.",
    "subject_en": "New tips",
    "words_en": "Read more.",
}


@pytest.fixture
def staff(visitor: Visitors, mails: Mails, database: Database) -> Browser:
    """Somebody who works here, signed in."""
    browser = visitor(locale="en")
    become_customer(browser, mails)
    _grant(database, staff=True)
    return browser


def _grant(database: Database, *, staff: bool) -> None:
    with database.transaction() as session:
        account = accounts.find(session, EMAIL)
        assert account
        account.staff = staff


def _written(browser: Browser, **changes: str) -> Page:
    return browser.post("/staff/campaigns/new", {**WRITTEN, **changes})


@pytest.mark.requirement(81)
def test_nobody_else_finds_the_pages(
    app: Flask, visitor: Visitors, mails: Mails, staff: Browser, database: Database
) -> None:
    """A stranger is asked to sign in, a customer finds nothing, and neither does who was let in
    once, from their next click on."""
    own = _written(staff).path
    paths = [*PATHS, own, *(f"{own}/{end}" for end in ("edit", "send", "preview/nb"))]
    assert [staff.get(path).status for path in paths] == [200] * len(paths)
    stranger, customer = visitor(), visitor()
    become_customer(customer, mails, READER)
    _grant(database, staff=False)
    for path in paths:
        assert stranger.get(path).path.startswith("/login")
        assert customer.get(path).status == staff.get(path).status == 404
    assert "/staff" not in customer.get("/").html
    rules = [str(rule) for rule in app.url_map.iter_rules() if str(rule).startswith("/staff")]
    assert len(rules) >= 12
    with app.test_request_context():
        for rule in app.url_map.iter_rules():
            if str(rule).startswith("/staff"):
                view = app.view_functions[rule.endpoint]
                assert getattr(view, "__wrapped__", None), f"{rule} is for_staff"


def test_a_newsletter_in_one_language_is_refused_and_says_what_is_missing(
    staff: Browser, database: Database
) -> None:
    """It can be kept, shown and tested so; it cannot be sent, by no button and by no made-up
    form."""
    page = _written(staff, subject_nn="", words_nn="", words_en=" ")
    missing = [item.get_text() for item in page.soup.select("#says ~ p + ul li")]
    assert missing == ["Subject (Nynorsk)", "Words (Nynorsk)", "Words (English)"]
    assert not page.soup.select('main a[href$="/send"]')
    asked = staff.get(f"{page.path}/send")
    assert "cannot be sent yet" in asked.text
    assert "Words (English)" in asked.text
    assert not asked.soup.select("main form")
    token = page.soup.select_one("[name=csrf_token]")
    assert token
    sent = staff.send(f"{page.path}/send", {"csrf_token": str(token["value"])})
    assert "the newsletter is not complete" in staff.get(sent.headers["Location"]).text
    with database.reading() as session:
        (row,) = campaigns.listed(session)
    assert (row.state, row.started_at) == ("draft", None)


@pytest.mark.requirement(43)
def test_what_may_not_be_sent_is_refused_when_it_is_written(
    staff: Browser, database: Database
) -> None:
    """An image, a link that tells who followed it: what was typed stays, with the reason."""
    words = "![x](https://a.example/x.png) [a](https://a.example/?utm_source=b)"
    page = _written(staff, words_nn=words)
    assert page.status == 422
    shown = page.soup.select_one("#words_nn")
    assert shown
    assert shown.get_text().strip() == words
    (error,) = page.soup.select(".summary li")
    assert error.get_text().strip().startswith("Nynorsk: Leave out the image")
    assert "utm_" in error.get_text()
    with database.reading() as session:
        assert campaigns.listed(session) == []


@pytest.mark.requirement(38)
def test_a_preview_is_the_mail_in_a_frame_that_can_do_nothing(staff: Browser) -> None:
    """In each language, with the headers; its link to unsubscribe is nobody's."""
    own = _written(staff).path
    for locale, subject in (("nb", "Nye tips"), ("nn", "Nye tips"), ("en", "New tips")):
        page = staff.get(f"{own}/preview/{locale}")
        assert subject in page.text
        assert "List-Unsubscribe=One-Click" in page.text
        assert "frame-src 'self'" in page.headers["Content-Security-Policy"]
        frame = page.soup.select_one("iframe")
        assert frame
        assert "allow-scripts" not in str(frame["sandbox"])
        inner = staff.get(urljoin(page.url, str(frame["src"])))
        policy = inner.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'self'" in policy
        html = BeautifulSoup(inner.html, "html.parser")
        assert html.html
        assert html.html["lang"] == locale
        (link,) = html.select("a[href*='/unsubscribe/']")
        assert staff.get(str(link["href"])).status == 400
    assert staff.get(f"{own}/preview/sv").status == 404


def test_a_test_reaches_its_writer_alone_and_its_link_works(
    staff: Browser, visitor: Visitors, mails: Mails
) -> None:
    """One mail for each language that is written, whatever the writer said yes to; one can try
    the button in it."""
    become_customer(visitor(), mails, READER)
    before = len(mails.to(READER.email))
    page = _written(staff, subject_nn="", words_nn="")
    page = staff.press(page, f"{page.path}/test")
    assert "on their way to your own address: 2." in page.text
    norwegian, english = mails.to(EMAIL)[-2:]
    assert (norwegian["Subject"], english["Subject"]) == ("Nye tips", "New tips")
    assert len(mails.to(READER.email)) == before
    link = link_in(english, containing="/unsubscribe/")
    opened = visitor(locale="en").get(link)
    assert opened.status == 200
    assert opened.forms()


def test_a_test_that_the_server_does_not_take_is_said_so(app: Flask, staff: Browser) -> None:
    """The page comes back, and nothing else happens."""
    page = _written(staff)
    worker = app.extensions["worker"]
    worker.transport = SmtpTransport("127.0.0.1", 1, tls="none")
    assert "The test was not sent" in staff.press(page, f"{page.path}/test").text


@pytest.mark.requirement(37, 81)
def test_a_newsletter_goes_to_those_who_say_yes_and_is_followed_on_a_page(
    app: Flask, staff: Browser, visitor: Visitors, mails: Mails
) -> None:
    """The number is named before it is sent, and counted after; no page says who they are."""
    become_customer(visitor(locale="nn"), mails, READER)
    page = _written(staff)
    own = page.path
    asked = staff.get(f"{own}/send")
    assert "Recipients now 1 " in asked.text
    page = staff.press(asked, f"{own}/send")
    assert "on its way. Recipients: 1." in page.text
    page = staff.press(page, f"{own}/pause")
    assert "paused" in page.text
    assert _deliver(app) == 0
    page = staff.press(page, f"{own}/resume")
    assert _deliver(app) == 1
    got = mails.last(READER.email)
    assert got["From"] == "Lillemini tips <tips@nytt.lillemini.example>"
    assert got["Subject"] == "Nye tips"
    assert "Lise Leser" in text(got)
    page = staff.get(own)
    assert "1 of 1 are done" in page.text
    assert page.soup.select_one('progress[value="1"][max="1"]')
    assert [form for form in page.forms() if "/staff/" in str(form.get("action"))] == []
    for path in (*PATHS, own):
        for private in (READER.email, "Lise", EMAIL):
            assert private not in staff.get(path).html


def test_what_was_begun_cannot_be_changed(staff: Browser, database: Database) -> None:
    """Nor sent twice by a page that was left open, nor go on when it was stopped for good."""
    page = _written(staff)
    own = page.path
    asked, edited = staff.get(f"{own}/send"), staff.get(f"{own}/edit")
    begun = staff.press(asked, f"{own}/send")
    again = staff.press(asked, f"{own}/send")
    assert "Nothing was done" in again.text
    late = staff.post(f"{own}/edit", {"subject_nb": "Other"}, page=edited)
    assert "Nothing was changed" in late.text
    assert staff.get(f"{own}/edit").path == own
    stopped = staff.press(begun, f"{own}/cancel")
    assert "Stopped" in stopped.text
    assert "Nothing was done" in staff.press(begun, f"{own}/pause").text
    with database.reading() as session:
        (row,) = campaigns.listed(session)
        assert campaigns.texts(session, row.id)["nb"] == Text("Nye tips", WRITTEN["words_nb"])


def test_nobody_sends_or_replaces_words_that_they_were_not_shown(
    staff: Browser, database: Database
) -> None:
    """Two at once: the page that was left open says that the other was quicker. Whoever saves it
    once more means it."""
    own = _written(staff, subject_nb="Nye\0 tips").path
    asked, edited = staff.get(f"{own}/send"), staff.get(f"{own}/edit")
    staff.post(f"{own}/edit", {"words_nn": "Heilt andre ord."})
    assert "Nothing was sent" in staff.press(asked, f"{own}/send").text
    late = staff.post(f"{own}/edit", {"words_en": "Later."}, page=edited)
    assert late.status == 422
    assert "Somebody else changed the newsletter meanwhile" in late.text
    with database.reading() as session:
        (row,) = campaigns.listed(session)
        said = campaigns.texts(session, row.id)
    assert row.state == "draft"
    assert (said["nn"].words, said["en"].words) == ("Heilt andre ord.", "Read more.")
    assert staff.post(f"{own}/edit", {}, page=late).path == own
    with database.reading() as session:
        said = campaigns.texts(session, row.id)
    assert (said["nn"].words, said["en"].words) == ("Les *meir*.", "Later.")
    assert said["nb"].subject == "Nye tips", "and no NUL, which PostgreSQL does not take"
    assert "on its way" in staff.press(staff.get(f"{own}/send"), f"{own}/send").text


def test_without_a_sender_nothing_is_sent_or_shown(app: Flask, staff: Browser) -> None:
    """The page names the setting, and forms that were made up are refused."""
    site = app.extensions["settings"]
    app.extensions["settings"] = dataclasses.replace(site, marketing_from=None)
    page = _written(staff)
    assert "MARKETING_FROM is not set" in page.text
    assert not page.soup.select('main a[href*="/preview/"], main a[href$="/send"]')
    assert staff.get(f"{page.path}/preview/nb").status == 404
    token = page.soup.select_one("[name=csrf_token]")
    assert token
    for end in ("test", "send"):
        sent = staff.send(f"{page.path}/{end}", {"csrf_token": str(token["value"])})
        assert sent.status == 400


def test_addresses_of_newsletters_that_are_none_lead_nowhere(staff: Browser) -> None:
    """On every page and with every button."""
    nobody = f"/staff/campaigns/{'0' * 8}-0000-4000-8000-{'0' * 12}"
    for end in ("", "/edit", "/send", "/preview/nb", "/preview/nb/html"):
        assert staff.get(nobody + end).status == 404
    token = staff.get("/account").soup.select_one("[name=csrf_token]")
    assert token
    for end in ("test", "send", "pause", "resume", "cancel"):
        sent = staff.send(f"{nobody}/{end}", {"csrf_token": str(token["value"])})
        assert sent.status == 404


def _deliver(app: Flask) -> int:
    """Send what may leave now; how many mails."""
    sender: Sender = app.extensions["sender"]
    return sender.run_once()
