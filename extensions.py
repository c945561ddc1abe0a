"""What every view leans on: transactions, the clock, sign-in, CSRF, language.

Flask-Login is slow-moving, so it is known here only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import wraps
from typing import Any, TypeVar, cast
from urllib.parse import SplitResult, urlencode, urlsplit
from uuid import UUID

import flask_login
from babel import Locale, dates, numbers
from flask import Flask, Response, abort, current_app, g, request
from flask import session as cookie
from flask.sessions import SecureCookieSessionInterface
from flask_babel import Babel, get_locale
from flask_wtf.csrf import CSRFProtect
from itsdangerous import URLSafeTimedSerializer
from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from database import Database
from domain.dates import OSLO
from domain.identity import accounts, limits
from domain.identity.limits import LimitKind
from domain.identity.models import Account
from domain.identity.passwords import Passwords
from domain.locales import DEFAULT, LOCALES
from domain.rights.requests import RequestKind
from settings import Settings

V = TypeVar("V", bound=Callable[..., Any])

LANGUAGE_COOKIE = "lang"
LANGUAGE_SECONDS = 365 * 24 * 3600

_WHO = select(Account.subject_id, Account.stamp, Account.locale, Account.staff).where(
    Account.id == bindparam("account")
)

_LANGUAGES = {code: Locale.parse(code) for code in LOCALES}

login_manager = flask_login.LoginManager()
csrf = CSRFProtect()
babel = Babel()

current_user = flask_login.current_user
login_required = flask_login.login_required


@dataclass(frozen=True)
class SignedIn(flask_login.UserMixin):
    """Who is signed in: ids and the stamp that ends the session when it grows."""

    id: str
    subject_id: UUID
    stamp: int
    locale: str
    staff: bool


@contextmanager
def transaction() -> Iterator[Session]:
    """Write: commit when the block ends, before the response is built."""
    with database().transaction() as session:
        yield session


@contextmanager
def reading() -> Iterator[Session]:
    """Read a consistent view; nothing can be changed."""
    with database().reading() as session:
        yield session


def database() -> Database:
    """The site's database, as the application's role."""
    return cast(Database, current_app.extensions["database"])


def settings() -> Settings:
    """The site's settings."""
    return cast(Settings, current_app.extensions["settings"])


def passwords() -> Passwords:
    """The password hasher."""
    return cast(Passwords, current_app.extensions["passwords"])


def now() -> datetime:
    """The time, aware, in UTC."""
    return datetime.now(UTC)


def client_ip() -> str:
    """The visitor's address, for limits only: it is kept as a keyed hash, never as itself."""
    return request.remote_addr or "unknown"


# --- Language ---------------------------------------------------------------------------------


def locale() -> str:
    """The reader's language: asked for, remembered, the account's, the browser's, bokmål."""
    if "locale" not in g:
        asked = request.args.get("lang")
        g.locale = asked if asked in LOCALES else _language_without_asking()
    return cast(str, g.locale)


def _language() -> Locale:
    """The same for Babel, which would read the name anew for each answer."""
    return _LANGUAGES[locale()]


def _language_without_asking() -> str:
    chosen = (request.cookies.get(LANGUAGE_COOKIE), _account_locale())
    return next((one for one in chosen if one in LOCALES), None) or _browser_locale()


def _account_locale() -> str | None:
    # Error pages ask for a language too, when there may be no database to ask.
    user = g.get("_login_user")
    return user.locale if isinstance(user, SignedIn) else None


def _browser_locale() -> str:
    # Browsers send nb, nn, no or en; "no" is bokmål to nearly everyone who sends it.
    best = request.accept_languages.best_match(["nb", "no", "nn", "en"], default=DEFAULT)
    return DEFAULT if best == "no" else best


def language_url(code: str) -> str:
    """This page in another language. Of what else stood in the address only a word of ours is
    kept: nothing that a stranger wrote there gets into the page."""
    kind = request.args.get("kind")
    known = {"kind": kind} if kind in set(RequestKind) else {}
    return f"?{urlencode({**known, 'lang': code})}"


def day(value: date) -> str:
    """A date in words, in the reader's language; a time gives its Norwegian day."""
    local = value.astimezone(OSLO) if isinstance(value, datetime) else value
    return str(dates.format_date(local, "long", locale=_date_locale()))


def clock(value: datetime) -> str:
    """The time of day in Norway."""
    return str(dates.format_time(value, "short", tzinfo=OSLO, locale=_date_locale()))


def number(value: int) -> str:
    """A whole number as the reader's language writes it."""
    return str(numbers.format_decimal(value, locale=_language()))


def _date_locale() -> str:
    # Babel's plain English is American: November 22, 2026, 8:06 PM.
    chosen = str(get_locale())
    return "en_GB" if chosen == "en" else chosen


# --- Sign-in ----------------------------------------------------------------------------------


def sign_in(account: Account) -> None:
    """Start a session for this account; nothing of the one before survives."""
    cookie.clear()
    user = SignedIn(
        str(account.id), account.subject_id, account.stamp, account.locale, account.staff
    )
    flask_login.login_user(user)
    at = int(now().timestamp())
    cookie.update(stamp=account.stamp, began=at, seen=at)


def sign_out() -> None:
    """End this session."""
    flask_login.logout_user()
    cookie.clear()


def ask_nobody() -> None:
    """Render what follows without asking the database who is signed in: it may be away."""
    if "_login_user" not in g:
        g._login_user = login_manager.anonymous_user()


def load_user(account_id: str) -> SignedIn | None:
    """The account behind the session, unless it is gone, changed its stamp or timed out."""
    site, at = settings(), int(now().timestamp())
    began, seen = _whole("began"), _whole("seen")
    too_long = at - began > site.absolute_timeout.total_seconds()
    if too_long or at - seen > site.idle_timeout.total_seconds():
        _forget_who()
        return None
    account = database().first(_WHO, {"account": UUID(account_id)})
    if account is None or account.stamp != cookie.get("stamp"):
        _forget_who()
        return None
    if at - seen > 60:  # once a minute is exact enough, and spares a cookie on each page
        cookie["seen"] = at
    return SignedIn(account_id, account.subject_id, account.stamp, account.locale, account.staff)


def _forget_who() -> None:
    """Forget who was signed in, and nothing else: a kept link and the token of the page that is
    being made outlive a session that timed out."""
    for name in ("_user_id", "_fresh", "_id", "stamp", "began", "seen"):
        cookie.pop(name, None)


def _whole(name: str) -> int:
    value = cookie.get(name)
    return value if isinstance(value, int) else 0


class _Sessions(SecureCookieSessionInterface):
    """Flask's own sessions, but what signs them is made once and not twice for each answer."""

    _serializer: URLSafeTimedSerializer | None = None

    def get_signing_serializer(self, app: Flask) -> URLSafeTimedSerializer | None:
        """The key is the application's, and stays the same while it runs."""
        if self._serializer is None:
            made = super().get_signing_serializer(app)
            if made is not None:
                signer = made.make_signer(made.salt)
                made.make_signer = lambda salt=None: signer  # type: ignore[method-assign]
            self._serializer = made
        return self._serializer


def init(app: Flask, parts: dict[str, Any]) -> None:
    """Tie the extensions to the application and hand it its parts."""
    app.extensions.update(parts)
    app.session_interface = _Sessions()
    login_manager.init_app(app)
    # No cookie remembers anybody here; to look for one it would read the session for every file.
    app.after_request_funcs[None].remove(login_manager._update_remember_cookie)
    login_manager.user_loader(load_user)
    login_manager.login_view = "accounts.login"
    login_manager.login_message = None
    login_manager.session_protection = None  # it would keep a hash of the user agent
    csrf.init_app(app)
    babel.init_app(app, locale_selector=_language, default_domain="messages")
    app.after_request(_remember_language)


def _remember_language(response: Response) -> Response:
    # Not where the reader would have got that language anyway, as by most links in mails.
    # Nor with an answer that has no words, and is kept by caches for everyone.
    chosen = request.args.get("lang") if response.mimetype == "text/html" else None
    if chosen in LOCALES and _language_without_asking() != chosen:
        response.set_cookie(
            LANGUAGE_COOKIE,
            chosen,
            max_age=LANGUAGE_SECONDS,
            secure=settings().secure,
            httponly=True,
            samesite="Lax",
        )
    return response


def keeps_typed(view: V) -> V:
    """Mark a view whose form checks the CSRF token itself and is shown again when it is bad, or
    when it was sent too often."""
    view.keeps_typed = True  # type: ignore[attr-defined]
    return view


def is_exempt(view: Callable[..., Any] | None) -> bool:
    """Whether a view was marked with `csrf.exempt`: its forms need no token, for they have another
    guard (tests/test_csrf.py says which)."""
    exempt: set[str] = csrf._exempt_views
    return view is not None and f"{view.__module__}.{view.__name__}" in exempt


def for_staff(view: V) -> V:
    """Let in only those who work for the operator. Anybody else finds no page there."""

    @wraps(view)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        if not current_user.is_authenticated:
            return login_manager.unauthorized()
        if not current_user.staff:
            abort(404)
        return view(*args, **kwargs)

    return cast(V, guarded)


def same_site() -> bool:
    """Whether a page of this very site sent the request, as the browser says: for forms of
    visitors, who get no session and so no token against forgery. Every browser of today names one
    or the other (Fetch Metadata; RFC 6454), and no page of another site can."""
    said = request.headers.get("Sec-Fetch-Site")
    if said is not None:
        return said == "same-origin"
    return request.headers.get("Origin", "") == settings().origin


def signal() -> bool:
    """Whether the browser asks not to be counted: `Sec-GPC: 1`, exactly (Global Privacy
    Control)."""
    return request.headers.get("Sec-GPC") == "1"


def wants_next() -> str | None:
    """Where to go after signing in: a path of this site, or None."""
    return path_here(request.args.get("next", ""))


def path_here(target: str) -> str | None:
    """The address if it is a path of this site, and nothing that a browser would take for
    another host; else None."""
    plain = target.startswith("/") and not target.startswith(("//", "/\\"))
    return target if plain and target.isprintable() else None


def came_from() -> SplitResult:
    """The address of the page that led here, as the browser tells it; an empty one where it tells
    none, or what is no address."""
    try:
        return urlsplit(request.referrer or "")
    except ValueError:
        return urlsplit("")


def reauthenticate(password: str) -> Account | None:
    """The signed-in account if this is its password. Raises TooManyTries."""
    return prove(UUID(current_user.id), password)


def prove(account_id: UUID, password: str) -> Account | None:
    """The account if this is its password. Counts as a try to sign in. Raises TooManyTries."""
    with reading() as session:
        account = accounts.get(session, account_id)
        email = accounts.person(session, account).email if account else None
    with transaction() as session:
        limits.spend(session, LimitKind.SIGN_IN, address=email, ip=client_ip(), at=now())
    right = passwords().verify(account.password_hash if account else None, password)
    if right and email:
        with transaction() as session:
            limits.forgive(session, LimitKind.SIGN_IN, address=email, ip=client_ip())
    return account if right else None
