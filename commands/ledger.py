"""`flask ledger`: check that what was recorded still is what it was, and write it out."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import click
from flask.cli import AppGroup
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from commands.checking import Ended, Plan, first_violation
from commands.progress import Progress
from domain.consent import verify as consent
from domain.ledger import log_invariants, outside, tree
from domain.ledger.errors import LedgerError
from domain.ledger.models import LedgerEntry, LedgerPending
from domain.subjects import missing
from domain.subjects.models import EntryLink
from extensions import database, now, reading

# In this order: the ledger's own stand first, since the others read its entries.
STAGES = (log_invariants.CHECKS, consent.CHECKS)
CHECKS = tuple(check for stage in STAGES for check in stage)

# Minutes. An entry has its position after some 200 ms.
_LATE = 10

group = AppGroup("ledger", help="The ledger: its invariants.")


def numbers() -> list[int]:
    """The numbers of all invariants that are checked."""
    return sorted({one.number for check in CHECKS for one in check.invariants})


@group.command()
@click.option(
    "--processes",
    type=click.IntRange(1, 64),
    default=1,
    help="Check with so many processes; more than there are processors is no faster.",
)
@click.option(
    "--since",
    metavar="CHECKPOINT",
    help="Prove first that the log begins with that of an outside checkpoint: a file with a"
    " checkpoint, a receipt or a .tlog-proof, or a size and a root from a mail, as"
    ' "12345 <root>".',
)
def verify(processes: int, since: str | None) -> None:
    """Check every invariant; name the first that is violated, and where, and exit with 1."""
    if since is not None:
        _since(since)
    plan = Plan.of(database(), *STAGES)
    progress = Progress(plan.rows, "rows checked")
    try:
        violation = first_violation(database(), plan, progress.step, processes)
    except Ended as error:
        raise click.ClickException(str(error)) from error
    if violation is not None:
        raise click.ClickException(str(violation))
    with reading() as session:
        size = tree.current(session).size
        entries, pending, links = (
            session.scalar(select(func.count()).select_from(table))
            for table in (LedgerEntry, LedgerPending, EntryLink)
        )
        late = _late(session)
    if late:
        click.echo(
            f"{late} {'entry has' if late == 1 else 'entries have'} waited for more than {_LATE}"
            " minutes: is the worker running? Before it is in the log, nothing shows whether an"
            " entry was changed.",
            err=True,
        )
    click.echo(
        f"{len(numbers())} invariants hold: {entries} entries, {size} of them in the log,"
        f" {pending} pending, {links} links."
    )


def _since(text: str) -> None:
    """Compare with what somebody else kept: nothing in the database can tell that it is whole
    and the newest, nor that no link was taken away."""
    try:
        content = Path(text).read_bytes() if Path(text).is_file() else text.encode()
        with reading() as session:
            said = outside.consistent(session, outside.read(content))
            receipt = outside.receipt(session, content)
            unlinked = receipt and missing.owner(session, receipt.entry)
    except (LedgerError, OSError) as error:
        raise click.ClickException(str(error)) from error
    if receipt and unlinked:
        raise click.ClickException(
            f"entry {receipt.entry.id} is about subject {unlinked}, who is still here, and no link"
            f" says so: {receipt.entry.type} was hidden from what is known about them"
        )
    click.echo(said)


def _late(session: Session) -> int:
    """How many entries have waited for too long. Nothing is wrong with them; but something is
    wrong with the sequencer, and what waits has no place in the log yet."""
    waited = LedgerEntry.recorded_at < now() - timedelta(minutes=_LATE)
    query = select(func.count()).select_from(LedgerPending)
    query = query.join(LedgerEntry, LedgerEntry.id == LedgerPending.entry_id).where(waited)
    return session.scalar(query) or 0
