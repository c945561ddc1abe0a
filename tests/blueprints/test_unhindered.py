"""What takes long or is large keeps nobody else from using the site."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask

from commands import serve
from database import Database
from domain.rights import access
from tests.support.browser import Browser
from tests.support.mails import Mails
from tests.support.people import ask, confirm, register
from tests.support.tables import entries


@pytest.mark.requirement(56)
def test_nobody_waits_while_a_copy_is_made(
    visitor: Callable[..., Browser],
    mails: Mails,
    app: Flask,
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Neither while it is collected nor while it is packed is a writing transaction open."""
    ingrid = visitor()
    register(ingrid)
    confirm(ingrid, mails)
    page = ask(ingrid, mails, "access")
    pool, seen = app.extensions["database"].engine.pool, []
    for name in ("proofs", "collect", "archive"):
        real = getattr(access, name)

        def watched(*values: Any, name: str = name, real: Any = real, **named: Any) -> Any:
            seen.append((name, pool.checkedout()))
            return real(*values, **named)

        monkeypatch.setattr(access, name, watched)
    answer = ingrid.press(page, page.path)
    assert answer.headers["Content-Type"] == "application/zip"
    open_then = 1 if app.extensions["database"]._reader.pool is pool else 0
    assert seen == [("proofs", open_then), ("collect", open_then), ("archive", 0)]
    assert "request.fulfilled" in {entry.type for entry in entries(database)}


def test_the_server_keeps_no_more_of_a_request_than_the_largest_form(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is larger is refused before it is all there."""
    asked: dict[str, Any] = {}

    def create_server(*_: Any, **named: Any) -> None:
        asked.update(named)
        raise OSError(98, "in use")

    monkeypatch.setattr(serve, "create_server", create_server)
    app.test_cli_runner().invoke(args=["serve"])
    assert asked["max_request_body_size"] == 512 * 1024
