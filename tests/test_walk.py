"""The site's main job, end to end, over HTTP and without a script."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from dataclasses import replace

import pytest
from flask import Flask

from settings import Settings
from tests.support.browser import Browser, Page
from tests.support.mails import Mails
from tests.support.people import EMAIL, INGRID, ask, confirm, register, sign_in
from tests.support.traces import Logged, traces


@pytest.mark.requirement(2)
@pytest.mark.requirement(13)
@pytest.mark.requirement(53)
@pytest.mark.requirement(56)
@pytest.mark.requirement(59)
def test_sign_up_choose_and_leave(
    visitor: Callable[..., Browser],
    mails: Mails,
    app: Flask,
    settings: Settings,
    logged: Logged,
) -> None:
    """A person signs up, confirms, decides, reads the history, takes a copy and leaves; then
    the ledger verifies and she is nowhere."""
    ingrid = visitor(address="192.0.2.77", locale="en")
    page = register(ingrid, replace(INGRID, choices={"marketing": True}))
    assert page.path == "/register/sent"
    assert confirm(ingrid, mails).path == "/login"
    page = sign_in(ingrid)
    assert page.path == "/account"
    assert "Ingrid Haugland-Testesen" in page.text

    page = _change_of_mind(ingrid)
    page = ingrid.post("/logout", page=page)
    page = ask(ingrid, mails, "access")
    download = ingrid.press(page, page.path)
    with zipfile.ZipFile(io.BytesIO(download.response.data)) as archive:
        document = json.loads(archive.read("data.json"))
        html = archive.read("index.html").decode()
    kept = json.dumps(document, ensure_ascii=False)
    assert "Ingrid Haugland-Testesen" in kept
    assert "Prøvegata 17" in html

    page = ask(ingrid, mails, "erasure")
    assert "This stays" in page.text
    page = ingrid.press(page, page.path)
    assert "Your data is erased" in page.text
    assert sign_in(ingrid).status == 422

    last = mails.to(EMAIL)
    assert len(last) == 1, "the development folder keeps only the last mail"
    result = app.test_cli_runner().invoke(args=["ledger", "verify"])
    assert result.exit_code == 0, result.output
    assert traces(app, settings, log=str(logged)) == []


def _change_of_mind(ingrid: Browser) -> Page:
    """Withdraw one consent, give the other, and look at the oldest decision as it was shown."""
    page = ingrid.get("/preferences")
    assert "You said yes" in page.text
    assert "You said no" in page.text
    page = ingrid.post("/preferences", {"consent-marketing": False, "consent-analytics": True})
    assert page.status == 200
    assert "Your choices are saved" in page.text
    assert "You withdrew your yes" in page.text

    page = ingrid.get("/preferences/history")
    shown = [str(link["href"]) for link in page.soup.select('.history a[href*="/history/"]')]
    assert len(shown) == 4
    page = ingrid.get(shown[-1])
    assert page.soup.select_one(".shown input[checked]")
    return page
