"""The worker's thread of newsletters."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace

import pytest
from flask import Flask
from sqlalchemy.exc import OperationalError
from structlog.testing import capture_logs

from app import create_app
from commands import sending
from settings import Settings


class Turns:
    """A sender that is told what happens at each turn; the loop ends after the last."""

    def __init__(self, *plan: Exception | None):
        self.stop, self.closed = threading.Event(), False
        self._plan = list(plan)

    def run_once(self, stopping: Callable[[], bool] = lambda: False) -> int:
        error = self._plan.pop(0)
        if not self._plan:
            self.stop.set()
        if error is not None:
            raise error
        return 0

    def close(self) -> None:
        self.closed = True


@pytest.mark.requirement(80)
def test_whatever_goes_wrong_it_goes_on_and_hangs_up_at_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It says so without a word of a statement or a mail."""
    for name in ("POLL_SECONDS", "AWAY_SECONDS"):
        monkeypatch.setattr(sending, name, 0.0)
    away = OperationalError("SELECT kari@example.no", {}, Exception("gone"))
    turns = Turns(away, ValueError("kari@example.no"), None)
    with capture_logs() as logged, sending.sending(turns, turns.stop):
        assert turns.stop.wait(30)
    assert turns.closed
    assert [line["event"] for line in logged] == ["newsletters_wait", "newsletters_failed"]
    assert "kari" not in repr(logged)


def test_a_mail_server_that_hangs_does_not_keep_the_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may take minutes over one mail; the worker is told to end, and does."""
    monkeypatch.setattr(sending, "LAST_SECONDS", 0.05)
    begun, answer = threading.Event(), threading.Event()

    class Hanging(Turns):
        def run_once(self, stopping: Callable[[], bool] = lambda: False) -> int:
            begun.set()
            answer.wait(30)
            return 0

    stop = threading.Event()
    with capture_logs() as logged, sending.sending(Hanging(), stop):
        assert begun.wait(30)
    assert stop.is_set()
    assert not answer.is_set()
    assert [line["event"] for line in logged] == ["newsletter_left"]
    answer.set()


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_without_a_sender_of_their_own_no_newsletters_are_sent(
    app: Flask, settings: Settings
) -> None:
    """They never leave under the name of service mails."""
    assert app.extensions["sender"] is not None
    other = create_app(replace(settings, marketing_from=None))
    assert other.extensions["sender"] is None
    other.extensions["database"].close()
    with sending.sending(None, threading.Event()):
        pass
