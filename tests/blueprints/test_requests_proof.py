"""The half hour after a password or a link ends when the person's password or address changes."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from database import Database
from tests.support.browser import Browser
from tests.support.mails import Mails, link_in
from tests.support.people import (
    EMAIL,
    PASSWORD,
    ask,
    ask_signed_in,
    become_customer,
    sign_in,
)
from tests.support.tables import count

pytestmark = pytest.mark.usefixtures("clock")

Visitor = Callable[..., Browser]
OTHER = "en helt annen lang frase 77"


def change(owner: Browser, mails: Mails) -> None:
    """By the old password."""
    owner.post("/account/password", {"current": PASSWORD, "password": OTHER})


def reset(owner: Browser, mails: Mails) -> None:
    """By a link, after they were locked out."""
    owner.post("/logout", page=owner.get("/account"))
    owner.post("/password/forgotten", {"email": EMAIL})
    page = owner.get(link_in(mails.last(EMAIL)))
    owner.press(page, "/password/reset", {"password": OTHER})


@pytest.mark.requirement(68, 73, 75)
@pytest.mark.parametrize("kind", ["access", "portability", "erasure"])
@pytest.mark.parametrize("changed", [change, reset])
@pytest.mark.parametrize("way", ["password", "link"])
def test_who_was_shut_out_takes_and_erases_nothing(
    visitor: Visitor,
    mails: Mails,
    database: Database,
    kind: str,
    changed: Callable[[Browser, Mails], None],
    way: str,
) -> None:
    """Whatever was proved before, in a browser that is not the owner's, is proved no longer."""
    owner, thief = visitor(), visitor()
    become_customer(owner, mails)
    if way == "password":
        sign_in(thief)
        page = ask_signed_in(thief, kind)
    else:
        page = ask(thief, mails, kind)
    assert page.soup.select("main form button"), page.text
    changed(owner, mails)
    answer = thief.press(page, page.path)
    assert answer.status == 404
    assert thief.get(page.path).status == 404
    assert count(database, "account") == 1


@pytest.mark.requirement(75)
def test_who_erased_everything_still_sees_that_it_is_done(visitor: Visitor, mails: Mails) -> None:
    """There is no password any more that the page could be bound to."""
    owner = visitor()
    become_customer(owner, mails)
    page = ask_signed_in(owner, "erasure")
    done = owner.press(page, page.path)
    assert (done.status, done.path) == (200, page.path)
    assert owner.get(page.path).status == 200
