"""What every answer of the suite sets in browsers, against the site's own list of it."""

from __future__ import annotations

from collections.abc import Iterable
from http.cookies import Morsel, SimpleCookie
from typing import TYPE_CHECKING, Any

import pytest
from flask import Flask

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment


def watch(patch: pytest.MonkeyPatch) -> list[str]:
    """From now on look at each Set-Cookie of each site that is asked for anything in this process;
    return the list that complaints go to."""
    complaints: list[str] = []
    call = Flask.__call__

    def watched(
        app: Flask, environ: WSGIEnvironment, start_response: StartResponse
    ) -> Iterable[bytes]:
        def started(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            set_here = [text for name, text in headers if name.lower() == "set-cookie"]
            if set_here and "settings" in app.extensions:
                complaints.extend(_wrong(app, set_here))
            return start_response(status, headers, *rest)

        return call(app, environ, started)

    patch.setattr(Flask, "__call__", watched)
    return complaints


def _wrong(app: Flask, headers: list[str]) -> list[str]:
    from blueprints.site.cookies import inventory
    from extensions import settings

    with app.app_context():
        listed, secure = {one.name for one in inventory()}, settings().secure
    found = [one for header in headers for one in SimpleCookie(header).values()]
    return [
        *(f"{one.key} is not listed on /cookies" for one in found if one.key not in listed),
        *(f"{one.OutputString()} is not as it must be" for one in found if not _right(one, secure)),
    ]


def _right(one: Morsel[str], secure: bool) -> bool:
    """For this host alone, sent with no form of another site; no script reads it."""
    whole = (bool(one["httponly"]), one["samesite"], one["path"], one["domain"])
    # The language is nobody's secret.
    prefixed = one.key.startswith("__Host-") or one.key == "lang"
    return whole == (True, "Lax", "/", "") and bool(one["secure"]) == secure <= prefixed
