"""What must be right before the site is served."""

from __future__ import annotations

import base64
from contextlib import suppress

import click
from flask import Flask
from sqlalchemy.orm import Session

import migrations
from database import Database
from domain.consent import notices
from domain.consent.errors import ContentError
from domain.consent.purposes import PurposeRegister, purposes
from domain.keys import SecretError
from domain.ledger import high_water, log_keys, tree
from domain.ledger.errors import LedgerError, MissingNode, Rewound
from domain.ledger.log import log
from domain.rights import journal
from domain.rights.errors import RightsError
from extensions import now
from settings import Settings


class NotReady(Exception):
    """The database is not fit to serve from. The message says what to do, a line for each."""


def check(app: Flask) -> None:
    """Raise unless the site may be served.

    Raises NoNotice or ContentError when no notice is in force that says what `purposes.toml`
    says; NotReady when, in production, the application could do more to the ledger than it must
    be able to, and everywhere when the log cannot go on from what was signed, or the erasure
    journal cannot be read. Whoever came back from a backup is erased before it returns.
    """
    settings: Settings = app.extensions["settings"]
    database: Database = app.extensions["database"]
    with database.reading() as session:
        notices.check_in_force(session, settings.content, at=now())
        _check_numbers(purposes(session), settings)
    if not settings.development and (found := migrations.problems(database, settings)):
        raise NotReady("\n".join(found))
    with database.reading() as session:
        check_log(session)
    forget_again(database)


def forget_again(database: Database) -> None:
    """Erase whoever the erasure journal has and a restored copy brought back, or a killed process
    left. After `check_log`: a copy of which nobody knows yet is not written to. Raises NotReady
    where the journal cannot be read or written."""
    try:
        journal.reapply(database, at=now())
    except (RightsError, SecretError) as error:
        raise NotReady(str(error)) from error
    except OSError as error:
        raise NotReady(f"{error.filename}: {error.strerror}. See ERASURE_JOURNAL") from error


def check_log(session: Session) -> None:
    """Raise NotReady unless the log can go on: everything that was signed is a beginning of the
    stored tree, and a key of the settings is in force, where there are any (LOG_KEYS=none is for
    a process that serves and does not sign). Whoever serves or sequences asks."""
    try:
        high_water.check(session)
    except Rewound as error:
        raise NotReady(f"{error}\n{_compared(session, error)}") from error
    except LedgerError as error:
        raise NotReady(str(error)) from error
    except OSError as error:
        raise NotReady(f"{error.filename}: {error.strerror}. See HIGH_WATER_FILE") from error
    keys = log_keys.in_force(session)
    own = {signer.verifier for signer in log(session).signers}
    if own and keys and not own.intersection(keys):
        raise NotReady(
            f"the log is signed with {keys[-1]}, and the settings have no key of it. Put its"
            " private key back into LOG_KEYS or its file. Where it is lost, put a new key of the"
            " same name there, and run: flask ledger rotate-key"
        )


def check_signs(settings: Settings, advice: str = "run") -> None:
    """Raise ClickException in a process that is to sign the log and has no key of it."""
    if not settings.log.signers:
        raise click.ClickException(
            f"LOG_KEYS is none: this process does not sign the log, and the worker has to; {advice}"
            " flask worker where the log's keys are"
        )


def _compared(session: Session, error: Rewound) -> str:
    """The roots, for whoever has to tell a restored copy from another database."""
    signed, state = error.signed, tree.current(session)
    lines = [f"Signed: {signed.size} entries, root {_base64(signed.root)}"]
    lines.append(f"Stored: {state.size} entries, root {_base64(state.root)}")
    if signed.size < state.size:
        with suppress(MissingNode):
            root = _base64(tree.root_at(session, signed.size))
            lines.append(f"Stored: the first {signed.size} entries have the root {root}")
    return "\n".join(lines)


def _base64(root: bytes) -> str:
    return base64.b64encode(root).decode()


def _check_numbers(register: PurposeRegister, settings: Settings) -> None:
    """What people read beside a box must be what the site then does."""
    done = {
        "marketing_age": settings.marketing_age,
        "registration_age": settings.registration_age,
        "link_minutes": int(settings.link_lifetime.total_seconds() // 60),
        "renewal_days": settings.renewal_days,
    }
    for name, number in done.items():
        said = register.numbers.get(name)
        if said != number:
            raise ContentError(
                f"the words in content/ are written for {name} = {said}, the settings say "
                f"{number}: change one of them, and the words with it"
            )
