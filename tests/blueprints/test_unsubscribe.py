"""The link that ends the newsletter: for people, for mail programs, for nobody else."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
import time_machine
from flask import Flask

from database import Database
from domain.consent import decisions, permission, presentations
from domain.identity import accounts, signed_links
from domain.identity.signed_links import LinkKind
from domain.keys import Keyring
from domain.marketing import handing, tokens
from domain.rights import erasure, holds, requests
from domain.subjects import service as subjects
from extensions import now
from tests.domain.consenting import decide
from tests.domain.identity_people import KARI, opened
from tests.support import NOON
from tests.support.browser import Browser
from tests.support.mails import Mails, receipts_in
from tests.support.people import PASSWORD
from tests.support.tables import contents, decided, entries

pytestmark = pytest.mark.usefixtures("clock")

BODY = {"List-Unsubscribe": "One-Click"}
GIVEN = [("given", "analytics"), ("given", "marketing")]
ENDED = [*GIVEN, ("withdrawn", "marketing")]
Link = Callable[[], str]


def subject_of(database: Database, email: str = KARI.email) -> UUID:
    """Whose the address is."""
    with database.reading() as session:
        account = accounts.find(session, email)
        assert account
        return account.subject_id


@pytest.fixture
def link(app: Flask, database: Database, keys: Keyring) -> Link:
    """Kari said yes to everything, and got a newsletter an hour ago."""

    def link() -> str:
        with database.transaction() as session:
            who = opened(session)
            accounts.confirm_address(session, who.subject_id, at=NOON)
            who.password_hash = app.extensions["passwords"].hash(PASSWORD)
            decide(session, who.subject_id, marketing=True, analytics=True)
        return f"/unsubscribe/{tokens.make(keys, who.subject_id, NOON - timedelta(hours=1))}"

    return link


@pytest.mark.requirement(39, 70)
@pytest.mark.parametrize(
    "body",
    [
        BODY,
        {"list-unsubscribe": "ONE-CLICK"},
        {"campaign": "7", "LIST-UNSUBSCRIBE": " one-click ", "csrf_token": "x"},
    ],
)
def test_one_click_ends_the_newsletter_without_cookie_token_or_redirect(
    visitor: Callable[..., Browser],
    database: Database,
    mails: Mails,
    link: Link,
    body: dict[str, str],
) -> None:
    """What a mail program sends, twice: 200, one entry, and nothing but the newsletter ends. It
    says what the person would have been shown, in their language, when the mail was made."""
    address = link()
    for _ in range(2):
        answer = visitor(locale="en").send(address, body)
        assert answer.status == 200
        assert "Set-Cookie" not in answer.headers
        assert decided(database) == ENDED
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    (entry,) = [one for one in entries(database) if one.type == "consent.withdrawn"]
    assert entry.data["surface"] == "unsubscribe"
    assert entry.data["locale"] == "nb"
    assert entry.data["served_at"] == "2026-11-22T11:00:00.000Z"
    with database.reading() as session:
        asked = permission.permitted(session, subject_of(database), "marketing", at=NOON)
    assert asked is permission.Permission.NOT_GIVEN
    told = [receipts_in(mail) for mail in mails.to(KARI.email.casefold())]
    assert sum(b"consent.withdrawn" in one for many in told for one in many) == 1


@pytest.mark.requirement(39)
@pytest.mark.parametrize(
    "body", [{}, {"List-Unsubscribe": "Yes"}, {"unsubscribe": "One-Click"}, {"One-Click": ""}]
)
def test_another_body_changes_nothing(
    client: Browser, database: Database, link: Link, body: dict[str, str]
) -> None:
    """400, and the page with the button; also where the address has the words."""
    address = link()
    before = contents(database)
    for sent in (address, f"{address}?List-Unsubscribe=One-Click"):
        answer = client.send(sent, body)
        assert answer.status == 400
        assert answer.soup.select_one("main form button[name=List-Unsubscribe]")
    assert contents(database) == before


@pytest.mark.requirement(33, 40, 45)
@pytest.mark.parametrize("locale", ["nb", "nn", "en"])
def test_a_person_presses_one_button_and_the_history_shows_it(
    visitor: Callable[..., Browser], database: Database, mails: Mails, locale: str, link: Link
) -> None:
    """In whatever language the page was; what was stored is what was shown, and is shown again."""
    address = link()
    reader = visitor(locale=locale)
    page = reader.get(address)
    assert reader.cookie("session") is None
    (form,) = page.forms()
    (button,) = form.select("button")
    main = page.soup.select_one("main")
    assert main
    done = reader.send(str(form["action"]), {str(button["name"]): str(button["value"])})
    assert done.status == 200
    (entry,) = [one for one in entries(database) if one.type == "consent.withdrawn"]
    assert entry.data["locale"] == locale
    with database.reading() as session:
        stored = presentations.get(session, entry.data["presentation"])
        assert stored
    content, (asked,) = stored.content, stored.content["purposes"]
    words = [
        *(content["heading"], content["introduction"], asked["label"], asked["wording"]),
        *(content["button"], content["notice"]["label"]),
    ]
    assert list(main.stripped_strings)[:-1] == words, "and a link to the preferences"
    kari = visitor()
    kari.post("/login", {"email": KARI.email, "password": PASSWORD})
    picture = kari.get(f"/preferences/history/{entry.id}").soup.select_one(".shown")
    assert picture
    assert (picture["lang"], list(picture.stripped_strings)) == (locale, words)
    assert not picture.select("[name], form")


def bad(keys: Keyring, good: str) -> Iterator[str]:
    """Tokens that were never ours, or are not any more."""
    raw = urlsafe_b64decode(good)
    yield from ("x", "XXXX-XXXX", "A" * 64, good[:-1], good[:48], good + "A", good.swapcase())
    yield from (f"{good}=", f"{good}%0A", f"%20{good}", f"{good}%00", "æ" * 64, "🙂" * 16)
    for place in (0, 12, 27, 28, 31, 32, 47):
        changed = bytearray(raw)
        changed[place] ^= 1
        yield urlsafe_b64encode(changed).decode()
    foreign = replace(keys, signing_key="the key of another site, which is long enough")
    yield tokens.make(foreign, uuid4(), NOON)
    sealed = keys.seal(uuid4().bytes + bytes(4), b"something else")
    yield urlsafe_b64encode(sealed[2:]).decode()


def test_a_bad_token_gives_the_page_with_the_preferences(
    client: Browser, database: Database, keys: Keyring, link: Link
) -> None:
    """Forged, cut short, changed, of another site, sealed for another use: the same page, 400, for
    GET and POST, in which nothing of it stands; nothing is stored."""
    address = link()
    before, pages = contents(database), set()
    for token in bad(keys, address.rpartition("/")[2]):
        for answer in (
            client.get(f"/unsubscribe/{token}"),
            client.send(f"/unsubscribe/{token}", BODY),
        ):
            assert answer.status == 400, token
            pages.add(answer.text)
    assert len(pages) == 1
    assert answer.soup.select_one('main a[href="/preferences"]')
    assert contents(database) == before


def test_an_unsubscribe_token_opens_nothing_else(
    app: Flask, client: Browser, database: Database, link: Link
) -> None:
    """Neither what mailed links open, nor a form; and no mailed link's token unsubscribes."""
    token = link().rpartition("/")[2]
    before = contents(database)
    for start in ("/confirm", "/password/reset", "/requests/verify"):
        answer = client.get(f"{start}/{token}")
        assert answer.status == 404, start
    assert contents(database) == before
    with database.transaction() as session:
        lifetime = timedelta(hours=1)
        other = signed_links.issue(
            session,
            LinkKind.RESET,
            subject_of(database),
            stamp=2,
            lifetime=lifetime,
            at=NOON,
        )
    assert client.send(f"/unsubscribe/{other}", BODY).status == 400
    assert decided(database) == GIVEN


@pytest.mark.requirement(33)
def test_it_works_for_as_long_as_the_mail_is_kept(
    client: Browser, database: Database, link: Link, clock: time_machine.Traveller
) -> None:
    """After years, after a new password; and it ends a newer yes, too."""
    address = link()
    assert client.send(address, BODY).status == 200
    with database.transaction() as session:
        account = accounts.find(session, KARI.email)
        assert account
        accounts.change_password(session, account, "scrambled anew")
    clock.shift(timedelta(days=1200))
    with database.transaction() as session:
        assert decide(session, subject_of(database), at=now(), marketing=True, analytics=True)
    assert client.send(address, BODY).status == 200
    with database.reading() as session:
        newest = decisions.history(session, subject_of(database))[-1]
    assert (newest.purpose_id, newest.state) == ("marketing", "withdrawn")


def plant(database: Database, state: str) -> UUID:
    """Kari, who said yes, in one of the states that an account can be in."""
    with database.transaction() as session:
        who = opened(session).subject_id
        if state != "unconfirmed":
            accounts.confirm_address(session, who, at=NOON)
        decide(session, who, marketing=True)
        if state == "restricted":
            subjects.restrict(session, who, at=NOON)
        if state in ("waiting", "erased", "held"):
            asked = requests.receive(session, who, requests.RequestKind.ERASURE, channel="link",
                                     at=NOON, locale="nb")  # fmt: skip
            requests.verify(session, asked, channel="link", at=NOON)
        if state == "held":
            holds.place(session, who, "legal_claim", "Krav", ("account",),
                        (NOON + timedelta(days=90)).date(), at=NOON)  # fmt: skip
        if state == "waiting":
            erasure.wait(session, asked, until=NOON + timedelta(days=1), at=NOON)
        elif state in ("erased", "held"):
            erasure.fulfil(session, asked, at=NOON)
    return who


@pytest.mark.parametrize("state", ["unconfirmed", "restricted", "waiting", "held", "erased"])
def test_whatever_has_become_of_the_account(
    client: Browser, database: Database, keys: Keyring, state: str
) -> None:
    """The same page and the same answer for everybody; who is erased, wholly or but for what a
    hold keeps, leaves no new trace, and everybody else's yes is over."""
    who = plant(database, state)
    address = f"/unsubscribe/{tokens.make(keys, who, NOON)}"
    before = contents(database)
    page, answer = client.get(address), client.send(address, BODY)
    assert (page.status, answer.status) == (200, 200)
    assert page.soup.select_one("main form button")
    if state in ("erased", "held"):
        assert contents(database) == before
        return
    with database.reading() as session:
        newest = decisions.history(session, who)[-1]
    assert (newest.purpose_id, newest.state, newest.surface) == (
        "marketing",
        "withdrawn",
        "unsubscribe",
    )


def test_a_no_of_somebody_who_never_answered_is_one_too(
    client: Browser, database: Database, keys: Keyring
) -> None:
    """As who works here, and was sent a newsletter to look at."""
    with database.transaction() as session:
        who = opened(session, KARI).subject_id
    for _ in range(2):
        assert client.send(f"/unsubscribe/{tokens.make(keys, who, NOON)}", BODY).status == 200
    assert decided(database) == [("refused", "marketing")]


def test_one_that_is_on_its_way_already_is_told_of(
    client: Browser, link: Link, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where waiting for it took too long, the answer says so, and 200 all the same."""
    address = link()
    whole = client.send(address, BODY).text
    monkeypatch.setattr(handing, "wait", lambda *_, **__: False)
    told = client.send(address, BODY)
    assert told.status == 200
    assert len(told.text) > len(whole)


def test_many_clicks_at_once_are_one(app: Flask, database: Database, link: Link) -> None:
    """As of a person and a mail program that presses for them: one entry, one mail, 200 for all."""
    address = link()

    def click(_: int) -> int:
        return app.test_client().post(address, data=BODY).status_code

    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(click, range(6))) == [200] * 6
    assert decided(database) == ENDED
    assert sum("intake.receipts" in row for row in contents(database)["outbox_message"]) == 1
