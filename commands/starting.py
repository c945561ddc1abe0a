"""What must be right before the site is served."""

from __future__ import annotations

from flask import Flask

import migrations
from database import Database
from domain.consent import notices
from domain.consent.errors import ContentError
from domain.consent.purposes import PurposeRegister, purposes
from extensions import now
from settings import Settings


class NotReady(Exception):
    """The database is not fit to serve from. The message says what to do, a line for each."""


def check(app: Flask) -> None:
    """Raise unless the site may be served.

    Raises NoNotice or ContentError when no notice is in force that says what `purposes.toml`
    says, and NotReady when, in production, the application could do more to the ledger than it
    must be able to.
    """
    settings: Settings = app.extensions["settings"]
    database: Database = app.extensions["database"]
    with database.reading() as session:
        notices.check_in_force(session, settings.content, at=now())
        _check_numbers(purposes(session), settings)
    if settings.development:
        return
    if found := migrations.problems(database, settings):
        raise NotReady("\n".join(found))


def _check_numbers(register: PurposeRegister, settings: Settings) -> None:
    """What people read beside a box must be what the site then does."""
    done = {
        "marketing_age": settings.marketing_age,
        "registration_age": settings.registration_age,
        "link_minutes": int(settings.link_lifetime.total_seconds() // 60),
    }
    for name, number in done.items():
        said = register.numbers.get(name)
        if said != number:
            raise ContentError(
                f"the words in content/ are written for {name} = {said}, the settings say "
                f"{number}: change one of them, and the words with it"
            )
