"""The cookie inventory: everything the site stores in a browser (ekomloven § 3-15).

Every test of a page compares it with the cookies that are really set (tests/conftest.py), so a
new cookie is a new line here.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from flask_babel import lazy_gettext as _

from extensions import LANGUAGE_COOKIE, settings
from visiting import CHOICE, COUNTING, asks_anything, cookie_name

SESSION = "session"


@dataclass(frozen=True)
class Cookie:
    """One cookie, in the reader's language. `necessary` is why it needs no yes, and None where it
    is set after a yes alone. `party` is None for the operator itself."""

    name: str
    purpose: Any
    lifetime: Any
    necessary: Any
    party: str | None = None


def inventory() -> tuple[Cookie, ...]:
    """Every cookie that this installation may set."""
    return (*_necessary(), *(_chosen() if asks_anything() else ()))


def _necessary() -> tuple[Cookie, ...]:
    idle, absolute = settings().idle_timeout, settings().absolute_timeout
    return (
        Cookie(
            name=cookie_name(SESSION),
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


def _chosen() -> tuple[Cookie, ...]:
    return (
        Cookie(
            name=cookie_name(CHOICE),
            purpose=_(
                "Remembers what you answered when we asked whether we may count what you use, and "
                "is your receipt for it: what you chose, when, until when it holds, which words "
                "you were shown, whether your browser sent Global Privacy Control when you said "
                "yes, and the number of its entry in the consent ledger. If you open an account in "
                "this browser, the answer is shown there too, and the number of the entry is tied "
                "to the account. It is used for nothing else, and set only when you answer, here "
                "or in your account."
            ),
            lifetime=_("One year from your last answer."),
            necessary=_("Without it we could not keep to your answer, and would ask each time."),
        ),
        Cookie(
            name=cookie_name(COUNTING),
            purpose=_(
                "A random mark, by which what you use here is counted without anybody knowing who "
                "you are. It is deleted the moment you say no."
            ),
            lifetime=_("As long as your yes: one year at most."),
            necessary=None,
        ),
    )
