"""The composition root: makes the site out of its parts, and nothing else."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import structlog
from flask import Flask, Response, g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_wtf.csrf import CSRFError
from sqlalchemy.exc import (
    DBAPIError,
    InterfaceError,
    NoResultFound,
    OperationalError,
    SQLAlchemyError,
)
from sqlalchemy.exc import TimeoutError as NoConnection
from sqlalchemy.orm import Session
from werkzeug.exceptions import HTTPException
from werkzeug.middleware.proxy_fix import ProxyFix

import blueprints.accounts
import blueprints.api
import blueprints.development
import blueprints.ledger
import blueprints.preferences
import blueprints.requests
import blueprints.site
import blueprints.staff
import commands
import copies
import extensions
import headers
import letters
import logs
import newsletters
import signing
import visiting
from commands import starting
from database import Database
from domain.consent import changes, notices, purposes
from domain.consent.errors import ConsentError
from domain.consent.purposes import PurposeRegister
from domain.dates import OSLO, local_day
from domain.delivery.errors import BadMailUrl
from domain.delivery.transports import Connects, transport
from domain.delivery.worker import Handler, Worker
from domain.identity.errors import TooManyTries
from domain.identity.passwords import Passwords
from domain.keys import KeyServiceError
from domain.ledger.sequencer import Sequencer
from domain.ledger.witnesses import Asking
from domain.locales import DEFAULT, LOCALES
from domain.marketing.sending import Sender
from domain.rights import (
    exports,
    gate,
    intake,
    restricting,
    retention,
    settling,
    telling,
    upkeep,
)
from domain.subjects.errors import UnknownSubject
from domain.tips import library
from settings import Settings, SettingsError

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

log = structlog.get_logger()


def create_app(settings: Settings | None = None) -> Flask:
    """Make the site; without `settings`, from the environment.

    Raises SettingsError, BadMailUrl, ContentError, and ChangedNotice when a published notice
    was changed on disk; from the environment, ends the program with their message instead.
    A database that is away is no error here: `/readyz` tells.
    """
    if settings is None:
        try:
            return create_app(Settings.from_environment())
        except (SettingsError, BadMailUrl, ConsentError) as error:
            raise SystemExit(f"Samtykke does not start: {error}") from None
    logs.configure()
    today = local_day(extensions.now())
    register = purposes.load(settings.content, marketing_age=settings.marketing_age, on=today)
    retention.check(register)
    info: dict[str, object] = {
        "keyring": settings.keys,
        "log": settings.log,
        "purposes": register,
        "changes": changes.load(settings.content),
        "mail_domain": letters.mail_domain(settings),
        "journal": settings.erasure_journal,
        "renew_before": timedelta(days=settings.renewal_days),
    }
    info["accounting"] = _accounting(settings, info)
    database = Database(settings.database_url, info=info)
    app = Flask(__name__)
    app.config.update(_configuration(settings))
    _wire(app, settings, database, register)
    app.before_request(lambda: purposes.take_up(database.info, at=extensions.now()))
    headers.init(app, secure=settings.secure)
    _protect(app)
    _handle_errors(app)
    for package in (
        blueprints.site,
        blueprints.accounts,
        blueprints.preferences,
        blueprints.requests,
        blueprints.ledger,
        blueprints.staff,
        blueprints.api,
    ):
        app.register_blueprint(package.bp)
    if settings.development and settings.mail_url.startswith("folder:"):
        app.register_blueprint(blueprints.development.bp)
    commands.register(app)
    _refuse_changed_notices(database, settings)
    return app


def _accounting(settings: Settings, info: dict[str, object]) -> Database | None:
    """The books, as the role that alone reads them; None where this process does not."""
    if settings.accounting_url is None:
        return None
    return Database(settings.accounting_url, info=info, role="accounting")


def wsgi() -> Flask:
    """The site as a server runs it: refuses to start when something is not as it must be."""
    app = create_app()
    try:
        starting.check(app)
    except (starting.NotReady, ConsentError) as error:
        raise SystemExit(f"Samtykke does not start: {error}") from None
    return app


def _configuration(settings: Settings) -> dict[str, object]:
    return {
        "SECRET_KEY": settings.keys.signing_key,
        "SESSION_COOKIE_NAME": "__Host-session" if settings.secure else "session",
        "SESSION_COOKIE_SECURE": settings.secure,
        "SESSION_COOKIE_HTTPONLY": True,
        "SESSION_COOKIE_SAMESITE": "Lax",
        "SESSION_REFRESH_EACH_REQUEST": False,
        # The token lives as long as the session: a form left open over lunch still works.
        "WTF_CSRF_TIME_LIMIT": None,
        "WTF_CSRF_CHECK_DEFAULT": False,
        # It would ask for a Referer, and pages reached by a mailed link send none (requirement 71).
        "WTF_CSRF_SSL_STRICT": False,
        "MAX_CONTENT_LENGTH": 64 * 1024,
        "BABEL_DEFAULT_LOCALE": DEFAULT,
        "BABEL_DEFAULT_TIMEZONE": OSLO.key,
    }


def _wire(app: Flask, settings: Settings, database: Database, register: PurposeRegister) -> None:
    app.wsgi_app = _at_home(settings.base_url, app.wsgi_app)  # type: ignore[assignment, method-assign]
    if settings.trusted_proxies:
        # Only the visitor's address is taken from a proxy.
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=settings.trusted_proxies, x_proto=0)  # type: ignore[method-assign]
    render, ready = partial(letters.render, app), partial(letters.ready, app)
    handlers: dict[str, Handler] = {
        "intake.request": partial(_take, intake.take_request, settings.link_lifetime),
        "intake.enquiry": intake.take_enquiry,
        "intake.follow": intake.take_follow,
        "intake.reset": partial(_take, intake.take_reset, settings.link_lifetime),
        "intake.receipts": telling.take_receipts,
        restricting.KIND: restricting.take_lift,
        settling.KIND: settling.settle,
    }
    post = transport(settings.mail_url)
    forbids = partial(gate.forbids, database)
    worker = Worker(database, post, render, handlers, extensions.now, ready, forbids)
    parts = {
        "settings": settings,
        "database": database,
        "passwords": Passwords(settings.password_hashing),
        "operator": register.operator,
        "processors": register.processors,
        "signer": signing.signer(settings),
        "tips": library.load(settings.content),
        "worker": worker,
        "sender": _sender(app, settings, database, post),
        "sequencer": Sequencer(database, extensions.now, Asking(extensions.now)),
        "housekeeping": partial(housekeeping, database),
        "exports": partial(
            exports.make_next, database, partial(copies.page, app), clock=extensions.now
        ),
    }
    extensions.init(app, parts)
    _tell_templates(app, settings, register)


def _tell_templates(app: Flask, settings: Settings, register: PurposeRegister) -> None:
    """What every page may speak of."""
    app.jinja_env.globals.update(
        operator=register.operator,
        locales=LOCALES,
        locale=extensions.locale,
        language_url=extensions.language_url,
        csp_nonce=headers.csp_nonce,
        visitors_choice=visiting.asked,
        choice_saved=visiting.saved,
        visitors_asked=visiting.asks_anything,
        link_minutes=int(settings.link_lifetime.total_seconds() // 60),
    )
    app.jinja_env.filters.update(
        day=extensions.day,
        clock=extensions.clock,
        number=extensions.number,
        instant=datetime.fromisoformat,
    )
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True


def _sender(app: Flask, settings: Settings, database: Database, post: Connects) -> Sender | None:
    """What sends newsletters; None where the settings name no sender for them."""
    if settings.marketing_from is None:
        return None
    make = newsletters.composing(app)
    return Sender(database, post, make, extensions.now, rate=settings.campaign_rate)


def _at_home(base_url: str, wsgi_app: WSGIApplication) -> WSGIApplication:
    """The site is where its settings say, whatever Host says (requirement 70)."""
    home = urlsplit(base_url)

    def at_home(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        environ["HTTP_HOST"], environ["wsgi.url_scheme"] = home.netloc, home.scheme
        return wsgi_app(environ, start_response)

    return at_home


def _take(service, lifetime: timedelta, session: Session, payload, at: datetime) -> None:  # type: ignore[no-untyped-def]
    service(session, payload, lifetime=lifetime, at=at)


def housekeeping(database: Database, at: datetime) -> bool:
    """What time does to what is kept: a small piece of what is due; whether there is more."""
    return upkeep.step(database, at=at)


def _refuse_changed_notices(database: Database, settings: Settings) -> None:
    try:
        with database.reading() as session:
            notices.check_files(session, settings.content)
    except DBAPIError:
        pass  # away, or not migrated yet: `/readyz` and the start of serving tell
    except ConsentError:
        database.close()  # nobody else will: there is no application to hold it
        raise


def _protect(app: Flask) -> None:
    @app.before_request
    def protect() -> None:
        """Refuse a POST without a good token, but where the view shows its form again or needs
        none."""
        view = app.view_functions.get(request.endpoint or "")
        try:
            if not extensions.is_exempt(view):
                extensions.csrf.protect()
        except CSRFError:
            if view is not None and not getattr(view, "keeps_typed", False):
                raise


def _handle_errors(app: Flask) -> None:
    @app.errorhandler(HTTPException)
    def http(error: HTTPException) -> tuple[str, int, dict[str, str]] | HTTPException:
        if error.code is None or error.code < 400:
            return error
        page, code = _page(403 if isinstance(error, CSRFError) else error.code)
        return page, code, {name: text for name, text in error.get_headers() if name == "Allow"}

    @app.errorhandler(TooManyTries)
    def too_many(error: TooManyTries) -> Response:
        seconds = max(1, int((error.retry_at - extensions.now()).total_seconds()) + 1)
        shown = _form_again(app, error.retry_at)
        response = shown or app.make_response(_page(429, retry_at=error.retry_at))
        response.status_code = 429
        response.headers["Retry-After"] = str(seconds)
        return response

    @app.errorhandler(UnknownSubject)
    @app.errorhandler(NoResultFound)
    def erased(error: Exception) -> ResponseReturnValue:
        """The account went in another window since this request began: nobody is signed in."""
        log.info("account_gone", exc_info=error)
        extensions.sign_out()
        return redirect(url_for("accounts.login"), code=303)

    @app.errorhandler(OperationalError)
    @app.errorhandler(InterfaceError)
    @app.errorhandler(NoConnection)
    @app.errorhandler(KeyServiceError)
    def away(error: SQLAlchemyError | KeyServiceError) -> tuple[str, int]:
        what = "key_service" if isinstance(error, KeyServiceError) else "database"
        log.error(f"{what}_away", exc_info=error)
        return _page(503)

    @app.errorhandler(Exception)
    def broken(error: Exception) -> tuple[str, int]:
        log.error("unexpected", endpoint=request.endpoint, exc_info=error)
        return _page(500)


def _form_again(app: Flask, retry_at: datetime) -> Response | None:
    """The form that was sent too often, with what was typed and when it may be sent; None where
    there is none. SiteForm lets it go no further than that."""
    view = app.view_functions.get(request.endpoint or "")
    if request.method != "POST" or not getattr(view, "keeps_typed", False) or view is None:
        return None
    g.retry_at = retry_at
    try:
        shown = app.make_response(app.ensure_sync(view)(**(request.view_args or {})))
    except TooManyTries:
        return None
    return shown if shown.status_code == 422 else None


def _page(code: int, **values: object) -> tuple[str, int]:
    extensions.ask_nobody()
    known = (400, 403, 404, 410, 413, 429, 500, 503)
    name = code if code in known else (400 if code < 500 else 500)
    return render_template(f"errors/{name}.html", **values), code
