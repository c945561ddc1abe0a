"""Newsletters that are just being handed over: what stops them is not answered before they left.

What stops them is committed first. Whoever was answered gets none after that (requirement 35).
"""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

from flask import flash
from flask_babel import gettext as _

from domain.marketing import handing
from extensions import database, now


def wait(subject_id: UUID) -> None:
    """Wait for the one to this person, if there is one; where the mail server takes too long, the
    next page says so."""
    if not handing.wait(database(), subject_id, at=now()):
        tell()


def erase(act: Callable[[], None]) -> bool:
    """Run `act`, a transaction that erases somebody, when the one to them has left: with what is
    known of it, nobody could wait for it afterwards. False where the mail server took too long:
    `tell` them when they are signed out."""
    return handing.past(database(), act, at=now())


def tell() -> None:
    """Let the next page say that one may still arrive."""
    flash(_("One e-mail to you was already on its way, and may still arrive."), "info")
