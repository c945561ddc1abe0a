"""The answer never tells whether an address is known. How long it takes: `make bench`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from flask import Flask
from flask.sessions import SecureCookieSessionInterface

from extensions import now
from tests.support.browser import Browser, Filled, Page
from tests.support.mails import Mails
from tests.support.people import INGRID, PASSWORD, Guest, confirm, register

# Spelled with the same number of characters, so that lengths can be compared too.
KNOWN, UNCONFIRMED, WRITER, UNKNOWN = ADDRESSES = tuple(f"{name}@kunde.example" for name in "abcd")
_TOKENS = re.compile(r'(nonce-|nonce="|name="(?:csrf_token|presentation)"[^>]*value=")[^"\']+')
_COOKIE = re.compile(r"^session=([^;]*)")


@dataclass(frozen=True)
class Flow:
    """A form that takes an address, how it is filled in beside it, and where it leads."""

    path: str
    filled: Filled
    status: int

    def filled_for(self, address: str) -> Filled:
        """The form as somebody with this address sends it."""
        return {**self.filled, "email": address}


ASKED = {
    **{
        f"/requests/new?kind={kind}": {}
        for kind in ("access", "portability", "rectification", "erasure", "restriction")
    },
    "/requests/new?kind=objection": {"about": "marketing"},
    "/requests/new?kind=enquiry": {"words": "Hvor lenge har dere adressen min?"},
    "/requests/follow": {"reference": "BBBB-2222"},
}
OTHERS = (
    Flow("/register", INGRID.form(), 303),
    Flow("/login", {"password": "something else entirely"}, 422),
    Flow("/password/forgotten", {}, 303),
    Flow("/requests/new", {"kind": "access"}, 303),
)
FLOWS = (*OTHERS, *(Flow(path, filled, 303) for path, filled in ASKED.items()))


def flows(*chosen: Flow) -> pytest.MarkDecorator:
    """The test with each of these."""
    return pytest.mark.parametrize("flow", chosen, ids=[one.path for one in chosen])


@pytest.fixture
def crowd(visitor: Callable[..., Browser], mails: Mails, app: Flask) -> Callable[[], Browser]:
    """Opens the two accounts, and writes a question from a third address; makes visitors who have
    never been here, each from elsewhere."""
    places: Iterator[str] = (f"192.0.2.{number}" for number in range(1, 255))

    def stranger() -> Browser:
        return visitor(address=next(places))

    for address in (KNOWN, UNCONFIRMED):
        register(stranger(), Guest(email=address))
    confirm(stranger(), mails, Guest(email=KNOWN))
    stranger().post("/requests/new?kind=enquiry", {"email": WRITER, "words": "Hei"})
    mails.deliver()
    return stranger


def seen(app: Flask, page: Page, address: str) -> dict[str, Any]:
    """All that a visitor can tell one answer from another by, without what is random in each
    and what they typed themselves. The session is signed, not secret: it is read too."""
    cookies = [_COOKIE.sub("session=…", one) for one in page.headers.getlist("Set-Cookie")]
    others = [
        (name, _TOKENS.sub(r"\1…", value).replace(address, "@"))
        for name, value in page.headers
        if name != "Set-Cookie"
    ]
    return {
        "path": page.path,
        "status": page.status,
        "headers": others,
        "cookies": cookies,
        "session": [_read(app, one) for one in page.headers.getlist("Set-Cookie")],
        "body": _TOKENS.sub(r"\1…", page.html).replace(address, "@"),
    }


def _read(app: Flask, cookie: str) -> dict[str, Any] | None:
    found = _COOKIE.match(cookie)
    signer = SecureCookieSessionInterface().get_signing_serializer(app)
    if found is None or signer is None:
        return None
    kept: dict[str, Any] = signer.loads(found[1]) if found[1] else {}
    random = ("csrf_token", "registered")
    return {name: "…" if name in random else value for name, value in kept.items()}


def send(browser: Browser, flow: Flow, address: str) -> list[Page]:
    """Send the form; return the answer, and the page that it leads to."""
    page = browser.get(flow.path)
    form = page.form(flow.filled_for(address))
    fields = {str(one["name"]): str(one.get("value", "")) for one in form.select("[type=hidden]")}
    typed = {
        name: "y" if value is True else str(value)
        for name, value in flow.filled_for(address).items()
    }
    answer = browser.send(flow.path, {**fields, **typed})
    assert answer.status in {flow.status, 429}
    leads_to = answer.headers.get("Location")
    return [answer, browser.get(leads_to)] if leads_to else [answer]


@pytest.mark.requirement(64)
@flows(*FLOWS)
def test_the_answer_is_the_same_for_every_address_and_when_asked_again(
    crowd: Callable[[], Browser], app: Flask, mails: Mails, flow: Flow
) -> None:
    """Known, unconfirmed, written from and unknown addresses get the same status, headers, cookies
    and body, and are led to the same page. A second mail to the same address, by the same browser
    and after the worker has run, tells no more than the first."""
    first, again = {}, {}
    for address in ADDRESSES:
        browser = crowd()
        first[address] = [seen(app, page, address) for page in send(browser, flow, address)]
        mails.deliver()
        again[address] = [seen(app, page, address) for page in send(browser, flow, address)]
    assert first[KNOWN][0]["status"] == flow.status
    _all_the_same(first)
    _all_the_same(again)


@pytest.mark.requirement(64)
@flows(*OTHERS, FLOWS[-2])  # whatever is asked for by address is counted in one place
def test_the_limit_comes_at_the_same_try(
    clock: time_machine.Traveller, crowd: Callable[[], Browser], app: Flask, flow: Flow
) -> None:
    """An address runs out of tries after as many, and with the same page, whoever has it."""
    clock.shift(timedelta(hours=25))  # opening the accounts and writing were tries too
    clock.move_to(now(), tick=False)  # the page says when to come back
    answers = {}
    for address in ADDRESSES:
        browser = crowd()
        pages = [send(browser, flow, address)[0] for _ in range(11)]
        answers[address] = [seen(app, page, address) for page in pages]
    assert 429 in [answer["status"] for answer in answers[UNKNOWN]]
    _all_the_same(answers)


def _all_the_same(answers: dict[str, list[dict[str, Any]]]) -> None:
    for address in ADDRESSES:
        assert answers[address] == answers[UNKNOWN], address


@pytest.mark.requirement(64)
def test_the_right_password_of_an_unconfirmed_account_tells_nothing(
    crowd: Callable[[], Browser], app: Flask
) -> None:
    """Registering an address and then signing in with the same password would tell whether it
    was known before: until it is confirmed the answer is as for a wrong one."""
    flow = Flow("/login", {"password": PASSWORD}, 422)
    mine = [seen(app, page, UNCONFIRMED) for page in send(crowd(), flow, UNCONFIRMED)]
    nobody = [seen(app, page, UNKNOWN) for page in send(crowd(), flow, UNKNOWN)]
    assert mine == nobody
