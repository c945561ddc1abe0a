"""The cookie inventory: everything the site stores in a browser (ekomloven § 3-15).

A test compares it with the cookies that are really set, so a new cookie is a new line here.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from flask_babel import lazy_gettext as _

from extensions import LANGUAGE_COOKIE

SESSION = "session"
SECURE_SESSION = "__Host-session"


@dataclass(frozen=True)
class Cookie:
    """One cookie, in the reader's language. `party` is None for the operator itself."""

    name: str
    purpose: Any
    lifetime: Any
    necessary: Any
    party: str | None = None


def inventory(*, secure: bool, idle: timedelta, absolute: timedelta) -> tuple[Cookie, ...]:
    """Every cookie that this installation may set; `secure` is whether it serves HTTPS."""
    return (
        Cookie(
            name=SECURE_SESSION if secure else SESSION,
            purpose=_(
                "Keeps you signed in, protects the forms against misuse, and remembers what you "
                "came for when you follow a link in an e-mail from us. It is set only when you "
                "open a form or sign in."
            ),
            lifetime=_(
                "Until you close the browser or sign out. Signed in, at most %(hours)d hours, and "
                "%(minutes)d minutes without use.",
                hours=round(absolute / timedelta(hours=1)),
                minutes=round(idle / timedelta(minutes=1)),
            ),
            necessary=_("Without it nobody could sign in, or send a form safely."),
        ),
        Cookie(
            name=LANGUAGE_COOKIE,
            purpose=_(
                "Remembers the language you chose. It is set when you choose a language, also by "
                "a link in an e-mail, and only if you would have got another one without it."
            ),
            lifetime=_("One year."),
            necessary=_("Without it the page would go back to another language than you chose."),
        ),
    )
