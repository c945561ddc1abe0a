"""The consent site in a Flask application's templates: `beside(app, Samtykke("http://…"))`."""

from __future__ import annotations

from collections.abc import Callable

from flask import Flask, request
from markupsafe import Markup
from samtykke import Samtykke


def beside(app: Flask, site: Samtykke) -> None:
    """Give templates `samtykke_section()` and `samtykke_permitted(purpose)`, which samtykke.html
    is made of; and keep the application's session apart from the site's."""
    # Two applications of one origin share its cookies, and both would call theirs `session`.
    app.config["SESSION_COOKIE_NAME"] = f"{app.name}_session"

    def section() -> Markup:
        # The site's own HTML, which has escaped what came from outside.
        return Markup(site.section(_page(), dict(request.headers)))  # noqa: S704

    def permitted(purpose: str) -> bool:
        return site.permitted(purpose, dict(request.headers))

    @app.context_processor
    def offered() -> dict[str, Callable[..., object]]:
        return {"samtykke_section": section, "samtykke_permitted": permitted}


def _page() -> str:
    """Where the choice comes back to: a page that was asked for, never an answer to a form."""
    path = f"{request.script_root}{request.path}"
    return f"{path}?{request.query_string.decode()}" if request.query_string else path
