"""An application that we did not write, under /blog of our own origin.

`flaskr-3.1.3.zip` is the tutorial's application as it stands in Flask's source distribution on
PyPI (flask-3.1.3.tar.gz, examples/tutorial), with its licence (BSD-3-Clause). It is changed when
it is unpacked, by what docs/embedding.md tells an operator to do and by nothing else.
"""

from __future__ import annotations

import importlib
import re
import shutil
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, request
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.wrappers import Request, Response

from settings import ROOT

EMBEDDING = ROOT / "docs" / "embedding"
CSS = """<link rel="stylesheet" href="{{ url_for('static', filename='samtykke.css') }}">"""
CHOICE = '{% import "samtykke.html" as samtykke with context %}\n{{ samtykke.choice() }}'
CONTROL = "<footer>{{ samtykke.control() }}</footer>"
_INCLUDE = re.compile(r'<!--#include virtual="([^"]*)" -->')


def unpack(directory: Path) -> Path:
    """The application's folder, with our files in their places and its base page changed."""
    with zipfile.ZipFile(Path(__file__).with_name("flaskr-3.1.3.zip")) as archive:
        archive.extractall(directory)
    flaskr = directory / "flaskr"
    base = flaskr / "templates" / "base.html"
    page = base.read_text()
    assert page.count("<nav>") == 1
    page = page.replace("<nav>", f"{CSS}\n{CHOICE}\n<nav>")
    base.write_text(f"{page}{CONTROL}\n")
    shutil.copy(EMBEDDING / "samtykke.html", flaskr / "templates")
    shutil.copy(EMBEDDING / "samtykke.css", flaskr / "static")
    for name in ("samtykke.py", "flask_beside.py"):
        shutil.copy(EMBEDDING / name, directory)
    return directory


def application(directory: Path, site: str, patch: pytest.MonkeyPatch) -> Flask:
    """The application, which asks the consent site at this address. What an address `/may` of it
    answers is what it was told about analytics."""
    patch.syspath_prepend(str(unpack(directory)))
    for name in [one for one in sys.modules if one.partition(".")[0] in _MODULES]:
        patch.delitem(sys.modules, name)
    flaskr, samtykke, flask_beside = (importlib.import_module(name) for name in _MODULES)
    app: Flask = flaskr.create_app({"SECRET_KEY": "a", "DATABASE": str(directory / "blog.db")})
    asked: Any = samtykke.Samtykke(site)
    flask_beside.beside(app, asked)
    app.add_url_rule(
        "/may", view_func=lambda: str(asked.permitted("analytics", dict(request.headers)))
    )
    with app.app_context():
        importlib.import_module("flaskr.db").init_db()
    return app


_MODULES = ("flaskr", "samtykke", "flask_beside")


def together(site: Flask, other: Flask) -> DispatcherMiddleware:
    """One origin: the consent site at /, the other application under /blog, and the page of plain
    HTML with what nginx would put into it."""
    return DispatcherMiddleware(site, {"/blog": other, "/pages": Request.application(_plain(site))})


def _plain(site: Flask) -> Any:
    def page(request: Request) -> Response:
        """The page, included as by nginx: the request's own headers go along."""
        if not request.path.endswith(".shtml"):
            return Response((EMBEDDING / "samtykke.css").read_text(), mimetype="text/css")
        here = f"{request.root_path}{request.path}"
        along = {name: text for name, text in request.headers if name != "Accept-Encoding"}

        def included(found: re.Match[str]) -> str:
            answer = site.test_client(use_cookies=False).get(
                found[1].replace("$uri", here), headers=along
            )
            return answer.get_data(as_text=True)

        html = _INCLUDE.sub(included, (EMBEDDING / "page.shtml").read_text())
        return Response(html, mimetype="text/html")

    return page
