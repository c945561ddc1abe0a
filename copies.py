"""Where Flask's templates meet a large copy: its page, made in pieces and without a request."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Any

from flask import Flask
from flask_babel import force_locale


def page(app: Flask, document: Mapping[str, Any]) -> Generator[str, None, None]:
    """The page for people in the language of the copy. Its records are read as it is made."""
    with app.app_context(), force_locale(document["language"]):
        template = app.jinja_env.get_template("requests/export.html")
        pieces = template.stream(document=document, receipts=True)
        pieces.enable_buffering(100)
        yield from pieces
