"""The worker's thread that makes large copies."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from flask import Flask
from sqlalchemy.exc import OperationalError

from commands import copying
from domain.rights import exports, requests
from domain.rights.requests import RequestKind
from tests.domain.consenting import publish
from tests.domain.identity_people import KARI, opened
from tests.support import NOON


def test_it_makes_copies_until_it_is_told_to_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    """A database that goes away, or a copy that breaks, ends nothing."""
    monkeypatch.setattr(copying, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(copying, "AWAY_SECONDS", 0.01)
    plan: list[bool | Exception] = [
        *(True, OperationalError("", {}, Exception())),
        *(ZeroDivisionError(), False, True),
    ]
    stop = threading.Event()

    def make_next(*, stopping: Callable[[], bool]) -> bool:
        assert not stopping()
        step = plan.pop(0)
        if not plan:
            stop.set()
        if isinstance(step, Exception):
            raise step
        return step

    with copying.copying(make_next, stop):
        assert stop.wait(5)
    assert not plan
    assert not any(thread.name == "copies" for thread in threading.enumerate())


@pytest.mark.usefixtures("clock")
def test_the_site_makes_a_copy_with_its_own_page(app: Flask) -> None:
    """As app.py puts it together: the database, the template, the person's language."""
    with app.extensions["database"].transaction() as session:
        publish(session)
        who = opened(session, KARI).subject_id
        request = requests.receive(session, who, RequestKind.ACCESS, channel="account", at=NOON)
        requests.verify(session, request, channel="account", at=NOON)
        archive = exports.begin(session, request, locale="nn", at=NOON).id
    assert app.extensions["exports"]()
    content = b"".join(exports.fetch(app.extensions["database"], archive, clock=lambda: NOON))
    assert content.startswith(b"PK")
