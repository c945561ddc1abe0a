"""The account's own pages, and the language, with JavaScript off."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.browser.conftest import Newcomer
from tests.browser.steps import choose, fill, follow, open_mailed, send, sign_in
from tests.support.browser import Browser
from tests.support.links import NEW_EMAIL, NEW_PASSWORD
from tests.support.mails import Mails, receipts_in
from tests.support.people import INGRID, become_customer

pytestmark = pytest.mark.browser


@pytest.mark.requirement(26, 34)
def test_a_receipt_is_checked_without_scripts(
    newcomer: Newcomer, visitor: Callable[..., Browser], mails: Mails
) -> None:
    """The file from a mail, found by the link at the foot of every page."""
    become_customer(visitor(), mails)
    *_, content = receipts_in(mails.last(INGRID.email))
    page = newcomer(javascript=False)
    page.goto("/")
    follow(page, "/ledger", within="footer")
    follow(page, "/ledger/verify")
    file = {"name": "receipt.json", "mimeType": "application/json", "buffer": content}
    page.locator("#receipt").set_input_files(file)  # type: ignore[arg-type]
    assert send(page) == 200
    assert page.locator("[role=status] .success").count() == 1


@pytest.mark.requirement(26, 58, 89)
def test_the_account_needs_no_scripts(
    newcomer: Newcomer, visitor: Callable[..., Browser], mails: Mails
) -> None:
    """Details, password, address and language can each be changed without a script."""
    become_customer(visitor(), mails)
    page = newcomer(javascript=False)
    sign_in(page)

    follow(page, "/account/details")
    fill(page, name="Ingrid Endresen", city="")
    choose(page, "age", "13")
    page.locator("#locale").select_option("nn")
    send(page)
    assert page.url.endswith("/account")
    assert page.locator("[role=status] .success").count() == 1
    assert "Ingrid Endresen" in page.locator("main").inner_text()
    assert INGRID.city not in page.locator("main").inner_text()

    follow(page, "/account/password")
    fill(page, current=INGRID.password, password=NEW_PASSWORD)
    send(page)
    assert page.url.endswith("/account"), "this session goes on"

    follow(page, "/account/email")
    fill(page, email=NEW_EMAIL, password=NEW_PASSWORD)
    send(page)
    assert page.locator("[role=status] .info").count() == 1
    open_mailed(page, mails, NEW_EMAIL)
    assert page.locator("html").get_attribute("lang") == "nn", "the mail's language"
    send(page)
    fill(page, email=NEW_EMAIL, password=NEW_PASSWORD)
    send(page)
    assert page.url.endswith("/account")
    assert NEW_EMAIL in page.locator("main").inner_text()

    for code in ("en", "nb"):
        with page.expect_navigation():
            page.locator(f'.languages a[hreflang="{code}"]').click()
        follow(page, "/preferences", within="header")
        assert page.locator("html").get_attribute("lang") == code, "the choice is kept"
        follow(page, "/account", within="header")


@pytest.mark.requirement(26, 53, 58, 60)
def test_every_right_needs_no_scripts(
    newcomer: Newcomer, visitor: Callable[..., Browser], mails: Mails
) -> None:
    """From the foot of any page: a question on two pages; and a restriction by link that is
    lifted again."""
    become_customer(visitor(), mails)
    page = newcomer(javascript=False)
    page.goto("/")
    follow(page, "/requests/new", within="footer")
    choose(page, "kind", "enquiry")
    fill(page, email=INGRID.email)
    send(page)
    assert page.locator("[name=email]").input_value() == INGRID.email
    fill(page, words="Kvifor?")
    send(page)
    assert page.url.endswith("/requests/sent?kind=enquiry")
    open_mailed(page, mails)
    send(page)
    assert "Kvifor?" in page.locator("main").inner_text()
    page.goto("/requests/new?kind=restriction")
    fill(page, email=INGRID.email)
    send(page)
    open_mailed(page, mails)
    send(page)
    assert send(page) == 200, "lifted"
    assert page.locator("[role=status] .success").count() == 1
    assert not page.locator("main form").count()


@pytest.mark.requirement(26)
def test_a_tool_and_an_answer_need_no_scripts(newcomer: Newcomer) -> None:
    """A form leads to its result, and the answer comes back to the page with thanks: the browser
    itself says that it was our page that asked."""
    page = newcomer(javascript=False)
    page.goto("/tips/clothes-for-the-weather")
    page.locator("#temperature").fill("-3")
    page.locator("#wind").check()
    with page.expect_navigation():
        page.locator("main form[method=get] button").click()
    assert page.url.endswith("#result")
    assert page.locator("#result dt").count() == 4
    page.goto("/tips/rainy-days")
    with page.expect_navigation():
        page.locator('button[name="useful"][value="no"]').click()
    assert page.url.endswith("/tips/rainy-days?answered=#useful")
    assert page.locator("main [role=status]").is_visible()
