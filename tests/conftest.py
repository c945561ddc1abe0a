"""Fixtures: a real database of each kind, the application on it, and people who use it."""

from __future__ import annotations

import gc
import os
import socket
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import time_machine
from jinja2 import FileSystemBytecodeCache
from sqlalchemy.orm import Session

import settings as site_settings
from database import Database
from domain.keys import Keyring
from domain.ledger.log import Log
from domain.ledger.notes import KeyType, SignerKey
from tests.support import NOON, chromium, cluster
from tests.support.absence import Absent, do_without
from tests.support.databases import PostgresTemplate, SqliteTemplate, Template, Urls
from tests.support.live import free_port, served

if TYPE_CHECKING:
    from flask import Flask
    from playwright.sync_api import Browser as Chromium
    from playwright.sync_api import Page as BrowserPage

    from domain.consent.purposes import PurposeRegister
    from tests.support.browser import Browser
    from tests.support.mails import Mails
    from tests.support.traces import Logged

_RUN = "SAMTYKKE_TEST_RUN"
_BACKENDS = ("sqlite", "postgresql")
_LISTENING = pytest.StashKey[socket.socket]()


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """The first process makes the directory that all workers of the run share.

    It goes when the run ends; `--basetemp` keeps what tests leave behind.
    """
    if not hasattr(config, "workerinput"):
        run = cluster.new_run()
        os.environ[_RUN] = str(run)
        config.option.basetemp = config.option.basetemp or str(run / "tmp")


def pytest_unconfigure(config: pytest.Config) -> None:
    """The first process, which is also the last, stops the database server."""
    if not hasattr(config, "workerinput") and _RUN in os.environ:
        cluster.end_run(Path(os.environ.pop(_RUN)))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest first, so that at the end no worker waits for the one that has them."""
    longest = ("test_killed_at_random", "tests/browser/")
    items.sort(key=lambda item: [part not in item.nodeid for part in longest])


def pytest_collection_finish() -> None:
    """What was imported and collected lives as long as the run: to look through it for garbage
    again and again took a sixth of the time."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def _addresses_compiled_once() -> Iterator[None]:
    """Each test makes its own application; they need not all compile the same addresses, which
    takes half the time that an application does. What comes of it depends on a rule's parts and
    defaults alone."""
    from werkzeug.routing import Rule

    compiled: dict[object, Callable[..., tuple[str, str]]] = {}
    compile_builder = Rule._compile_builder

    def once(rule: Rule, append_unknown: bool = True) -> Callable[..., tuple[str, str]]:
        key = (tuple(rule._trace), str(rule.defaults), append_unknown)
        if key not in compiled:
            compiled[key] = compile_builder(rule, append_unknown)
        return compiled[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Rule, "_compile_builder", once)
        yield


@pytest.fixture(scope="session")
def _cookies() -> Iterator[list[str]]:
    from tests.support import cookies

    with pytest.MonkeyPatch.context() as patch:
        yield cookies.watch(patch)


@pytest.fixture(autouse=True)
def _every_cookie_is_listed(_cookies: list[str]) -> Iterator[None]:
    """Nothing is stored in a browser that /cookies does not tell of (requirement 30)."""
    yield
    found, _cookies[:] = list(_cookies), []
    assert found == []


@pytest.fixture(scope="session", autouse=True)
def _statements_compiled_once() -> Iterator[None]:
    """Nor need the engines of each test compile the same statements. What comes of it depends on
    the kind of database alone: all engines are made in one way."""
    from sqlalchemy import Engine
    from sqlalchemy.engine.default import DefaultDialect
    from sqlalchemy.util import LRUCache

    kept: LRUCache[object, object] = LRUCache(5_000)
    shared = property(lambda engine: kept, lambda engine, own: None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Engine, "_compiled_cache", shared, raising=False)
        patch.setattr(DefaultDialect, "__hash__", lambda one: hash(type(one)))
        patch.setattr(DefaultDialect, "__eq__", lambda one, other: type(one) is type(other))
        yield


@pytest.fixture(name="NOON")
def noon() -> datetime:
    """The time it is in tests."""
    return NOON


@pytest.fixture
def clock() -> Iterator[time_machine.Traveller]:
    """It is NOON, for the whole process; `clock.shift(timedelta(minutes=61))` moves on."""
    with time_machine.travel(NOON, tick=True) as traveller:
        yield traveller


@pytest.fixture(scope="session")
def keys() -> Keyring:
    """Secrets that are always the same."""
    return Keyring(
        epochs={1: bytes(range(32))},
        lookup_key=bytes(range(32, 64)),
        signing_key="a signing key for tests, of more than 32 characters",
    )


@pytest.fixture(scope="session")
def register() -> PurposeRegister:
    """The purposes of `content/`, as they are at NOON: whatever day the tests run on."""
    from domain.consent import purposes
    from domain.dates import local_day

    return purposes.load(site_settings.ROOT / "content", marketing_age=15, on=local_day(NOON))


@pytest.fixture(params=_BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    """The kind of database: whatever uses one runs on both."""
    return str(request.param)


@pytest.fixture(scope="session")
def _templates(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Template]]:
    made: dict[str, Template] = {}

    def template(backend: str) -> Template:
        if backend not in made:
            if backend == "sqlite":
                made[backend] = SqliteTemplate(tmp_path_factory.mktemp("template"))
            else:
                made[backend] = PostgresTemplate(cluster.admin_url(Path(os.environ[_RUN])))
        return made[backend]

    yield template
    for one in made.values():
        one.close()


@pytest.fixture
def urls(
    request: pytest.FixtureRequest,
    backend: str,
    _templates: Callable[[str], Template],
    info: dict[str, object],
    tmp_path: Path,
) -> Iterator[Urls]:
    """The addresses of a fresh, migrated database; where the site comes too, with its notices."""
    try:
        template = _templates(backend)
    except Absent as absent:
        do_without(absent)
    fill = partial(_publish, info) if "app" in request.fixturenames else None
    fresh = template.copy(tmp_path, fill=fill)
    yield fresh
    template.drop(fresh)


def _publish(info: dict[str, object], url: str) -> None:
    """Put the notices of `content/` in force, as `flask notices publish` does."""
    from domain.consent import notices

    database = Database(url, info=info)
    with database.transaction() as session:
        notices.publish(session, site_settings.ROOT / "content", at=NOON)
    database.close()


@pytest.fixture
def instance(tmp_path: Path) -> Path:
    """Where the site keeps its files."""
    directory = tmp_path / "instance"
    directory.mkdir()
    return directory


@pytest.fixture
def log(instance: Path) -> Log:
    """A log whose key is always the same, without witnesses."""
    signer = SignerKey("samtykke.test/consent", KeyType.LOG, bytes(range(64, 96)))
    return Log(signers=(signer,), high_water=instance / "high-water")


@pytest.fixture
def info(keys: Keyring, register: PurposeRegister, log: Log) -> dict[str, object]:
    """What every session carries."""
    return {"keyring": keys, "purposes": register, "log": log}


@pytest.fixture
def accounting(urls: Urls, info: dict[str, object]) -> Iterator[Database]:
    """The database, as the bookkeeper may use it."""
    accounting = Database(urls.accounting, info=info, role="accounting")
    yield accounting
    accounting.close()


@pytest.fixture
def database(urls: Urls, info: dict[str, object], accounting: Database) -> Iterator[Database]:
    """The database, as the application may use it."""
    database = Database(urls.application, info={**info, "accounting": accounting})
    yield database
    database.close()


@pytest.fixture
def owner(urls: Urls, info: dict[str, object]) -> Iterator[Database]:
    """The same database, as its owner may use it."""
    owner = Database(urls.owner, info=info, owner=True)
    yield owner
    owner.close()


@pytest.fixture
def session(database: Database) -> Iterator[Session]:
    """An open transaction of the application, undone when the test ends."""
    with Session(database.engine, info=database.info, expire_on_commit=False) as session:
        yield session
        session.rollback()


@pytest.fixture
def address(request: pytest.FixtureRequest) -> Iterator[str]:
    """The site's address: a made-up one, or a port of this machine where a browser comes."""
    if "live" not in request.fixturenames:
        yield "http://samtykke.test"
        return
    with free_port() as listening:
        request.node.stash[_LISTENING] = listening
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


@pytest.fixture
def settings(
    urls: Urls, keys: Keyring, log: Log, address: str, instance: Path
) -> site_settings.Settings:
    """Settings of a development site that keeps everything in the test's own directory."""
    return site_settings.Settings(
        environment="development",
        base_url=address,
        database_url=urls.application,
        owner_url=urls.owner,
        accounting_url=urls.accounting,
        mail_url=f"folder:{instance / 'mail'}",
        mail_from="Lillemini <hei@lillemini.example>",
        marketing_from="Lillemini tips <tips@nytt.lillemini.example>",
        keys=keys,
        log=log,
        instance=instance,
        erasure_journal=instance / "erasure-journal",
        password_hashing="cheapest",
    )


@pytest.fixture
def app(
    settings: site_settings.Settings, urls: Urls, database: Database, info: dict[str, object]
) -> Iterator[Flask]:
    """The application, with the notices of `content/` published."""
    from app import create_app
    from domain.consent import notices

    with database.reading() as session:
        published = notices.versions(session, "privacy")
    if not published:  # a fixture that nobody could foresee (getfixturevalue)
        _publish(info, urls.application)
    app = create_app(settings)
    # Each test makes its own application; they need not all compile the same templates.
    compiled = Path(os.environ[_RUN]) / "templates"
    compiled.mkdir(exist_ok=True)
    app.jinja_env.bytecode_cache = FileSystemBytecodeCache(str(compiled))
    yield app
    app.extensions["database"].close()


@pytest.fixture
def logged(app: Flask) -> Iterator[Logged]:
    """What the site writes to its log during the test."""
    from structlog.testing import capture_logs

    with capture_logs() as written:
        yield written


@pytest.fixture
def visitor(app: Flask, settings: site_settings.Settings) -> Callable[..., Browser]:
    """Makes visitors: `visitor(address="192.0.2.7", locale="en")`."""
    from tests.support.browser import Browser

    def visitor(**choices: str) -> Browser:
        return Browser(app, settings.base_url, **choices)

    return visitor


@pytest.fixture
def client(visitor: Callable[..., Browser]) -> Browser:
    """One visitor, who reads bokmål."""
    return visitor()


@pytest.fixture
def mails(app: Flask, settings: site_settings.Settings) -> Mails:
    """The mails that the site sent; reading them runs the worker first."""
    from tests.support.mails import Mails

    parts = app.extensions
    return Mails(settings.instance / "mail", parts["worker"], parts["sequencer"])


@pytest.fixture
def live(app: Flask, address: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """The application on a real port; its address."""
    with served(app, request.node.stash[_LISTENING]):
        yield address


@pytest.fixture(scope="session")
def chromium_browser() -> Iterator[Chromium]:
    """A real browser, started once."""
    from playwright.sync_api import sync_playwright

    try:
        path = chromium.find()
    except Absent as absent:
        do_without(absent)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(chromium.FLAGS))
        yield browser
        browser.close()


@pytest.fixture
def page(chromium_browser: Chromium, live: str) -> Iterator[BrowserPage]:
    """A page of a real browser with the site behind it: `page.goto("/register")`."""
    context = chromium_browser.new_context(base_url=live, locale="nb-NO", accept_downloads=True)
    context.set_default_timeout(10_000)
    yield context.new_page()
    context.close()
