"""What every response carries, errors too: security headers, compression, cache rules."""

from __future__ import annotations

import gzip
import hashlib
import secrets
from functools import cache
from pathlib import Path
from typing import Any

from flask import Flask, Response, g, request

_COMPRESSED = ("text/html", "text/css", "text/plain", "image/svg+xml", "application/json")
_SMALLEST = 600  # bytes; below this gzip costs more than it saves
_YEAR = 365 * 24 * 3600


def csp_nonce() -> str:
    """The nonce of this response: the stylesheet's link carries it, and nothing else may."""
    if "csp_nonce" not in g:
        g.csp_nonce = secrets.token_urlsafe(16)
    nonce: str = g.csp_nonce
    return nonce


def policy(nonce: str) -> str:
    """The Content-Security-Policy: our own stylesheet and icon, our own forms, no script."""
    return "; ".join(
        (
            "default-src 'none'",
            "script-src 'none'",
            f"style-src 'nonce-{nonce}'",
            "img-src 'self'",
            "form-action 'self'",
            "base-uri 'none'",
            "object-src 'none'",
            "frame-ancestors 'none'",
        )
    )


def init(app: Flask, *, secure: bool) -> None:
    """Add the headers to every response of the application."""

    always = {
        "Referrer-Policy": "strict-origin-when-cross-origin",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    }
    if secure:
        always["Strict-Transport-Security"] = f"max-age={_YEAR}; includeSubDomains"

    @app.after_request
    def add(response: Response) -> Response:
        given = response.headers
        # The hook also runs for responses made before others could set anything on `g`.
        wanted = {"Content-Security-Policy": policy(csp_nonce()), **always}
        # What a view has set stays. Asked once for all: each `setdefault` would look at each.
        present = {name.lower() for name, _ in given}
        given.extend({name: text for name, text in wanted.items() if name.lower() not in present})
        if request.endpoint == "static" and response.status_code < 400:
            given["Cache-Control"] = f"public, max-age={_YEAR}, immutable"
        else:
            given.setdefault("Cache-Control", "no-store")
        return _compress(response)

    @app.url_defaults
    def version(endpoint: str, values: dict[str, Any]) -> None:
        # Static files are kept for a year: their address changes when they do.
        if endpoint == "static" and app.static_folder:
            values["v"] = _fingerprint(Path(app.static_folder) / values["filename"])


@cache
def _fingerprint(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:8]


def _compress(response: Response) -> Response:
    """Gzip what a browser asked for compressed. What is reflected in a page from its address
    is never secret, and what is secret is never beside what a stranger chose (BREACH): forms
    answer only to their own POST."""
    if "Vary" in response.headers:
        response.vary.add("Accept-Encoding")
    else:
        response.headers["Vary"] = "Accept-Encoding"
    if (
        response.mimetype not in _COMPRESSED
        or not request.accept_encodings.quality("gzip")
        or "Content-Encoding" in response.headers
        or response.status_code in (204, 206, 304)
        or request.method == "HEAD"
    ):
        return response
    response.direct_passthrough = False
    body = response.get_data()
    if len(body) >= _SMALLEST:
        response.set_data(gzip.compress(body, 6, mtime=0))
        response.headers["Content-Encoding"] = "gzip"
        response.headers.pop("ETag", None)
    return response
