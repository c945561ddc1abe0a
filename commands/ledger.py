"""`flask ledger`: check that what was recorded still is what it was."""

from __future__ import annotations

import click
from flask.cli import AppGroup
from sqlalchemy import func, select

from domain.consent import verify as consent
from domain.ledger import verify as ledger
from domain.ledger.models import LedgerEntry, LedgerPending
from domain.subjects import verify as subjects
from domain.subjects.models import EntryLink
from extensions import reading

# In this order: the ledger's own stand first, since the others read its entries.
CHECKS = (*ledger.CHECKS, *subjects.CHECKS, *consent.CHECKS)

group = AppGroup("ledger", help="The ledger: its invariants.")


@group.command()
def verify() -> None:
    """Check every invariant; name the first that is violated, and where, and exit with 1."""
    with reading() as session:
        violation = ledger.first_violation(session, CHECKS)
        if violation is not None:
            raise click.ClickException(str(violation))
        entries, pending, links = (
            session.scalar(select(func.count()).select_from(table))
            for table in (LedgerEntry, LedgerPending, EntryLink)
        )
    click.echo(
        f"{len(CHECKS)} invariants hold: {entries} entries, {pending} pending, {links} links."
    )
