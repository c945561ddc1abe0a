"""Addresses for machines: health, and /.well-known."""

from __future__ import annotations

from datetime import UTC, date, timedelta

from flask import Response, current_app, jsonify, redirect, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from blueprints.site.views import bp
from domain.locales import LOCALES
from domain.rights import portability
from extensions import now, reading, settings

SECURITY_TXT_LIFETIME = timedelta(days=180)
# Since when the signal is obeyed as it is now.
GPC_SINCE = date(2026, 11, 24)


@bp.get("/healthz")
def healthz() -> ResponseReturnValue:
    """The process answers. Asks nothing of the database, so its loss restarts nothing."""
    return _plain("ok\n")


@bp.get("/readyz")
def readyz() -> ResponseReturnValue:
    """Whether requests can be served now: 503 while the database is away."""
    try:
        with reading() as session:
            session.execute(text("SELECT 1"))
    except SQLAlchemyError:
        return _plain("database away\n"), 503
    return _plain("ready\n")


@bp.get("/schemas/portability-1.json")
def portability_schema() -> ResponseReturnValue:
    """The JSON Schema of what a person takes along, for whoever reads such a file."""
    response = Response(portability.schema_bytes(), mimetype="application/schema+json")
    response.headers["Cache-Control"] = "public, max-age=86400"
    return response


@bp.get("/.well-known/security.txt")
def security_txt() -> ResponseReturnValue:
    """Where to report a weakness (RFC 9116), valid for half a year from today."""
    expires = (now() + SECURITY_TXT_LIFETIME).astimezone(UTC)
    address = f"{settings().base_url}{url_for('site.security_txt')}"
    return _plain(
        f"Contact: mailto:{current_app.extensions['operator'].email}\n"
        f"Expires: {expires:%Y-%m-%dT%H:%M:%SZ}\n"
        f"Preferred-Languages: {', '.join(LOCALES)}\n"
        f"Canonical: {address}\n"
    )


@bp.get("/.well-known/gpc.json")
def gpc() -> ResponseReturnValue:
    """That `Sec-GPC: 1` is obeyed here (Global Privacy Control): it is a no."""
    return jsonify(gpc=True, lastUpdate=GPC_SINCE.isoformat())


@bp.get("/.well-known/change-password")
def change_password() -> ResponseReturnValue:
    """Where password managers find the form (W3C change-password URL)."""
    return redirect(url_for("accounts.account"), code=302)


def _plain(body: str) -> Response:
    return Response(body, mimetype="text/plain", headers={"Cache-Control": "no-store"})
