"""What differs from one installation to the next, read once from the environment.

Outside development a missing secret stops the start. Development makes its own on first run,
in `instance/secrets.toml` and in files of keys beside it (mode 600).
"""

from __future__ import annotations

import base64
import binascii
import os
import re
import secrets
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import getaddresses, parseaddr
from pathlib import Path
from typing import Any, Literal, get_args
from urllib.parse import urlsplit

from domain import epochs
from domain.epochs import KeyFile
from domain.keys import KEY_BYTES, Key, Keyring, MalformedKeys
from domain.ledger.errors import MalformedKey
from domain.ledger.log import Log, Witness, is_origin
from domain.ledger.notes import KeyType, SignerKey, VerifierKey

ROOT = Path(__file__).parent
Environment = Literal["development", "production"]
# Whose mails a developer's machine sends: those that people wait for, and newsletters.
_SENDER = "Lillemini <hei@lillemini.example>"
_NEWS = "Lillemini tips <tips@nytt.lillemini.example>"


class SettingsError(Exception):
    """A setting is missing or wrong. The message names the variable and what it takes."""


@dataclass(frozen=True)
class Settings:
    """The settings of one running site. `from_environment` documents the variables."""

    environment: Environment
    base_url: str
    database_url: str = field(repr=False)
    owner_url: str = field(repr=False)
    mail_url: str = field(repr=False)
    mail_from: str
    keys: Keyring = field(repr=False)
    log: Log = field(repr=False)
    instance: Path
    # Where new keys of the log are added; None where the environment holds them.
    log_key_file: Path | None = None
    # The address of the role that alone reads bookkeeping; None where this process does not.
    accounting_url: str | None = field(default=None, repr=False)
    # Which people were erased, outside the database: a restored copy is compared with it.
    erasure_journal: Path = ROOT / "instance" / "erasure-journal"
    erasure_grace: timedelta = timedelta()
    # A copy of more entries than this is made by the worker.
    export_at_once: int = 500
    # The sender of newsletters, apart from that of other mails; None where none are sent.
    marketing_from: str | None = None
    # So many newsletters leave in a minute at most; 0 for as many as the mail server takes.
    campaign_rate: int = 0
    # What mails are signed with (DKIM): a private key in PEM, and its selector.
    dkim_key_file: Path | None = None
    dkim_selector: str = ""
    # So many days before a yes runs out, its owner is asked to renew it.
    renewal_days: int = 30
    content: Path = ROOT / "content"
    marketing_age: int = 15
    registration_age: int = 13
    link_lifetime: timedelta = timedelta(minutes=60)
    idle_timeout: timedelta = timedelta(minutes=30)
    absolute_timeout: timedelta = timedelta(hours=12)
    trusted_proxies: int = 0
    password_hashing: Literal["strong", "cheapest"] = "strong"  # noqa: S105 - a profile

    @property
    def development(self) -> bool:
        """Whether this is a developer's own machine: mail can be read at /dev/mail."""
        return self.environment == "development"

    @property
    def secure(self) -> bool:
        """Whether the site is served over HTTPS, as its base address says."""
        return self.base_url.startswith("https://")

    @property
    def origin(self) -> str:
        """The site's origin, as browsers write it (RFC 6454)."""
        parts = urlsplit(self.base_url)
        return f"{parts.scheme}://{parts.netloc}".lower()

    @property
    def vault_key_file(self) -> Path | None:
        """Where the key-encryption keys stand; None where a variable holds them."""
        return self.keys.epochs.path if isinstance(self.keys.epochs, KeyFile) else None

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> Settings:
        """Read the settings; raise SettingsError with what is missing or wrong.

        SAMTYKKE_ENV (production unless `development`), BASE_URL, DATABASE_URL,
        DATABASE_OWNER_URL, MAIL_URL, MAIL_FROM, INSTANCE_PATH, CONTENT_PATH, MARKETING_AGE,
        REGISTRATION_AGE, LINK_MINUTES, IDLE_MINUTES, ABSOLUTE_HOURS, TRUSTED_PROXIES,
        HIGH_WATER_FILE, WITNESSES, ACCOUNTING_DATABASE_URL, ERASURE_JOURNAL,
        ERASURE_GRACE_HOURS, EXPORT_AT_ONCE, MARKETING_FROM, CAMPAIGN_RATE (mails a minute),
        DKIM_KEY_FILE with DKIM_SELECTOR, RENEWAL_DAYS; the secrets SIGNING_KEY, LOOKUP_KEY, or
        SECRETS_FILE that holds them; KEY_ENCRYPTION_KEYS, or VAULT_KEY_FILE that holds them;
        LOG_KEYS (or `none`), or LOG_KEY_FILE that holds them.
        """
        environment = _environment(environ)
        instance = Path(environ.get("INSTANCE_PATH", ROOT / "instance")).absolute()
        development = environment == "development"
        port = _number(environ, "PORT", 5000)
        base_url = _address(environ, f"http://127.0.0.1:{port}" if development else None)
        own_database = f"sqlite:///{instance / 'samtykke.db'}"
        database_url = _text(environ, "DATABASE_URL", own_database if development else None)
        return cls(
            environment=environment,
            base_url=base_url,
            database_url=database_url,
            owner_url=environ.get("DATABASE_OWNER_URL", database_url),
            mail_url=_text(
                environ, "MAIL_URL", f"folder:{instance / 'mail'}" if development else None
            ),
            mail_from=_text(environ, "MAIL_FROM", _SENDER if development else None),
            keys=_keyring(environ, instance, development=development),
            log=_log(environ, instance, base_url, development=development),
            instance=instance,
            log_key_file=_log_key_file(environ, instance),
            accounting_url=environ.get("ACCOUNTING_DATABASE_URL")
            or (database_url if database_url.startswith("sqlite") else None),
            erasure_journal=_path(environ, "ERASURE_JOURNAL", instance / "erasure-journal"),
            erasure_grace=timedelta(hours=_number(environ, "ERASURE_GRACE_HOURS", 0)),
            export_at_once=_number(environ, "EXPORT_AT_ONCE", 500),
            marketing_from=_marketing_from(environ, development=development),
            campaign_rate=_number(environ, "CAMPAIGN_RATE", 0),
            **_dkim(environ),
            renewal_days=_number(environ, "RENEWAL_DAYS", 30),
            content=_path(environ, "CONTENT_PATH", ROOT / "content"),
            marketing_age=_number(environ, "MARKETING_AGE", 15),
            registration_age=_number(environ, "REGISTRATION_AGE", 13),
            link_lifetime=timedelta(minutes=_number(environ, "LINK_MINUTES", 60)),
            idle_timeout=timedelta(minutes=_number(environ, "IDLE_MINUTES", 30)),
            absolute_timeout=timedelta(hours=_number(environ, "ABSOLUTE_HOURS", 12)),
            trusted_proxies=_number(environ, "TRUSTED_PROXIES", 0),
        )


def _environment(environ: Mapping[str, str]) -> Environment:
    name = environ.get("SAMTYKKE_ENV", "production")
    for known in get_args(Environment):
        if name == known:
            return known  # type: ignore[no-any-return]
    raise SettingsError(f"SAMTYKKE_ENV is {name!r}; it takes development or production")


def _text(environ: Mapping[str, str], name: str, default: str | None) -> str:
    value = environ.get(name, "").strip() or default
    if value is None:
        raise SettingsError(f"{name} is not set, and production has no default for it")
    return value


def _path(environ: Mapping[str, str], name: str, default: Path) -> Path:
    return Path(environ.get(name, default)).absolute()


def _number(environ: Mapping[str, str], name: str, default: int) -> int:
    value = environ.get(name, "").strip()
    if value and not value.isdecimal():
        raise SettingsError(f"{name} is {value!r}; it takes a whole number, 0 or more")
    return int(value) if value else default


def _address(environ: Mapping[str, str], default: str | None) -> str:
    address = _text(environ, "BASE_URL", default).rstrip("/")
    if not address.startswith(("http://", "https://")):
        raise SettingsError("BASE_URL is the site's public address, with https:// (or http://)")
    return address


def _marketing_from(environ: Mapping[str, str], *, development: bool) -> str | None:
    """The sender of newsletters: another address than that of mails that people wait for, so that
    whoever has enough of the one still gets the other."""
    sender = environ.get("MARKETING_FROM", "").strip()
    if not sender:
        return _NEWS if development else None
    address, other = (
        parseaddr(one)[1].casefold() for one in (sender, environ.get("MAIL_FROM", ""))
    )
    # It stands in a mailto: link, and is written in ASCII in each mail.
    plain = re.fullmatch(r"[a-z0-9_.+-]+@[^@\s]+", address) and len(getaddresses([sender])) == 1
    if not plain or address == other:
        raise SettingsError("MARKETING_FROM takes a sender with another address than MAIL_FROM's")
    return sender


def _dkim(environ: Mapping[str, str]) -> dict[str, Any]:
    """The key that mails are signed with, and its selector: both or neither."""
    named, selector = (environ.get(name, "").strip() for name in ("DKIM_KEY_FILE", "DKIM_SELECTOR"))
    if bool(named) != bool(selector):
        raise SettingsError("DKIM_KEY_FILE and DKIM_SELECTOR go together: set both, or neither")
    if not named:
        return {}
    path = Path(named).absolute()
    if not path.exists():
        raise SettingsError(f"DKIM_KEY_FILE: {path} is not there")
    _check_private(path)
    return {"dkim_key_file": path, "dkim_selector": selector}


def _keyring(environ: Mapping[str, str], instance: Path, *, development: bool) -> Keyring:
    names = ("SIGNING_KEY", "LOOKUP_KEY", "KEY_ENCRYPTION_KEYS")
    path = Path(environ.get("SECRETS_FILE", instance / "secrets.toml"))
    if development and "SECRETS_FILE" not in environ and not path.exists():
        _make_secrets(path)
    stored = _read_secrets(path) if path.exists() else {}
    values = {name: environ.get(name) or stored.get(name.lower(), "") for name in names}
    key_file = _vault_key_file(environ, instance, values["KEY_ENCRYPTION_KEYS"])
    if key_file and development and "VAULT_KEY_FILE" not in environ and not key_file.exists():
        _write_once(key_file, epochs.make(1, at=datetime.now(UTC)).line())
    if key_file and key_file.exists():
        del values["KEY_ENCRYPTION_KEYS"]
    missing = [name for name, value in values.items() if not value]
    if missing:
        raise SettingsError(
            f"missing secrets: {', '.join(missing)}. Set them in the environment or in"
            " SECRETS_FILE; key-encryption keys also stand in VAULT_KEY_FILE, a line each"
        )
    if len(values["SIGNING_KEY"]) < KEY_BYTES:
        raise SettingsError(f"SIGNING_KEY takes at least {KEY_BYTES} random characters")
    return Keyring(
        epochs=_epochs(key_file, values.get("KEY_ENCRYPTION_KEYS", "")),
        lookup_key=_key("LOOKUP_KEY", values["LOOKUP_KEY"]),
        signing_key=values["SIGNING_KEY"],
    )


def _vault_key_file(environ: Mapping[str, str], instance: Path, setting: str) -> Path | None:
    """Where the key-encryption keys stand, a line each; None where KEY_ENCRYPTION_KEYS, or
    key_encryption_keys in SECRETS_FILE, gives them."""
    named = environ.get("VAULT_KEY_FILE", "").strip()
    if setting and named:
        raise SettingsError("KEY_ENCRYPTION_KEYS and VAULT_KEY_FILE are both set: take one away")
    return None if setting else Path(named or instance / "vault-keys").absolute()


def _epochs(path: Path | None, setting: str) -> Mapping[int, Key]:
    try:
        return epochs.keys(epochs.parse_setting(setting)) if path is None else KeyFile(path)
    except MalformedKeys as error:
        name = "KEY_ENCRYPTION_KEYS" if path is None else "VAULT_KEY_FILE"
        raise SettingsError(f"{name}: {error}") from None
    except OSError as error:
        raise SettingsError(f"VAULT_KEY_FILE: {error.filename}: {error.strerror}") from None


def _read_secrets(path: Path) -> dict[str, str]:
    _check_private(path)
    with path.open("rb") as file:
        return {name: str(value) for name, value in tomllib.load(file).items()}


def _make_secrets(path: Path) -> None:
    """Make development's secrets."""
    lines = [
        "# Made on first run, for development only. Production sets its own.",
        f'signing_key = "{secrets.token_urlsafe(KEY_BYTES)}"',
    ]
    key = base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()
    lines.append(f'lookup_key = "{key}"')
    _write_once(path, "\n".join([*lines, ""]))


def _write_once(path: Path, content: str) -> None:
    """Write a secret file that is not there yet. Written to a draft and linked into place, so
    that two first runs at once, or a kill half-way, leave one whole file or none."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    with open(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(draft, path)
    except FileExistsError:
        pass  # another first run was quicker: its secrets count
    finally:
        draft.unlink()


def _check_private(path: Path) -> None:
    if path.stat().st_mode & 0o077:
        raise SettingsError(f"{path} can be read by others; run: chmod 600 {path}")


def _log(environ: Mapping[str, str], instance: Path, base_url: str, *, development: bool) -> Log:
    return Log(
        signers=_signers(environ, instance, base_url, development=development),
        high_water=Path(environ.get("HIGH_WATER_FILE", instance / "high-water")).absolute(),
        witnesses=_witnesses(environ),
    )


def _log_key_file(environ: Mapping[str, str], instance: Path) -> Path | None:
    """Where the log's private keys stand, a line each; None where LOG_KEYS gives them."""
    if environ.get("LOG_KEYS", "").strip():
        return None
    return Path(environ.get("LOG_KEY_FILE", instance / "log-keys")).absolute()


def _signers(
    environ: Mapping[str, str], instance: Path, base_url: str, *, development: bool
) -> tuple[SignerKey, ...]:
    """The keys that the log is signed with, the oldest first; none where LOG_KEYS says so: for a
    process that only reads, whose environment then tells nobody how to sign a fork."""
    path = _log_key_file(environ, instance)
    text = environ.get("LOG_KEYS", "").strip()
    if text == "none":
        return ()
    if path is not None:
        if development and "LOG_KEY_FILE" not in environ and not path.exists():
            origin = f"{urlsplit(base_url).netloc.lower()}/consent"
            _write_once(path, SignerKey.make(origin).encode() + "\n")
        if not path.exists():
            raise SettingsError(
                "the log's key is missing: set LOG_KEYS, or LOG_KEY_FILE to a file that holds it."
                " A key is made by: python -m commands.log_key <origin>"
            )
        _check_private(path)
        text = path.read_text("utf-8")
    return _log_keys(text)


def _log_keys(text: str) -> tuple[SignerKey, ...]:
    try:
        signers = tuple(SignerKey.parse(one) for one in text.replace(",", " ").split())
    except MalformedKey as error:
        raise SettingsError(f"LOG_KEYS: {error}") from None
    if not signers or any(signer.type is not KeyType.LOG for signer in signers):
        raise SettingsError("LOG_KEYS takes keys of a log with blanks between, or none")
    if len(set(signers)) < len(signers):
        raise SettingsError("LOG_KEYS has a key twice")
    for signer in signers:
        if not is_origin(signer.name):
            raise SettingsError(
                f"LOG_KEYS: {signer.name}: a log's key is named after the log, an address without"
                " its scheme and in lower case, as lillemini.com/consent"
            )
    return signers


def _witnesses(environ: Mapping[str, str]) -> tuple[Witness, ...]:
    """Pairs of address and verifier key, with blanks between."""
    words = environ.get("WITNESSES", "").split()
    if len(words) % 2:
        raise SettingsError("WITNESSES takes an address and a verifier key for each witness")
    found = []
    for url, text in zip(words[::2], words[1::2], strict=True):
        try:
            key = VerifierKey.parse(text)
        except MalformedKey as error:
            raise SettingsError(f"WITNESSES: {url}: {error}") from None
        if key.type is not KeyType.WITNESS:
            raise SettingsError(f"WITNESSES: {url}: this is the key of a log, not of a witness")
        if not _may_be_asked(url):
            raise SettingsError(f"WITNESSES: {url}: an address that begins with https://")
        found.append(Witness(url.rstrip("/"), key))
    if len({witness.key for witness in found}) < len(found):
        raise SettingsError("WITNESSES has a key twice")
    return tuple(found)


def _may_be_asked(url: str) -> bool:
    """Over HTTPS, or on this machine."""
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises where it is no number
    except ValueError:
        return False
    if parts.query or parts.fragment or parts.username or not parts.hostname:
        return False
    here = parts.hostname in ("127.0.0.1", "::1", "localhost")
    return parts.scheme == "https" or (parts.scheme == "http" and here)


def _key(name: str, value: str) -> bytes:
    try:
        key = base64.b64decode(value, validate=True)
    except binascii.Error as error:
        raise SettingsError(f"{name} takes {KEY_BYTES} bytes in base64") from error
    if len(key) != KEY_BYTES:
        raise SettingsError(f"{name} takes {KEY_BYTES} bytes in base64, this has {len(key)}")
    return key
