"""`flask ledger recover`, `adopt`: when the database and the high-water file do not agree."""

from __future__ import annotations

import base64
from pathlib import Path

import click

from commands.ledger import group
from commands.log_keys import extend
from domain.analytics import usage
from domain.keys import KeyServiceError
from domain.ledger import log_keys, recovery
from domain.ledger.errors import LedgerError
from domain.ledger.key_file import next_key
from domain.ledger.log import is_origin
from domain.ledger.notes import SignerKey
from domain.ledger.recovery import Loss
from domain.marketing import campaigns
from extensions import now, reading, settings, transaction

# In one transaction.
_BROWSERS = 100


@group.command("recover")
@click.option("--origin", help="The log's new name; the old with the next number otherwise.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def recover(origin: str | None, yes: bool) -> None:
    """Go on under another name after an older copy of the database was restored.

    What was recorded after the copy was made is lost with this, for good: first look for a newer
    copy. The log goes on from the entries that are left, under a new origin and a new key, and
    its next entry names the checkpoint that was lost. See docs/operations.md.
    """
    try:
        log_keys.first_signer(settings().log)
        with reading() as session:
            loss = recovery.find(session)
            name = origin or recovery.next_origin(session, loss)
        if not is_origin(name):
            raise click.ClickException(f"{name}: an address without its scheme, as a.example/log")
        _tell(loss, name)
        if not yes and not loss.begun and click.prompt("Type the new origin to go on") != name:
            raise click.ClickException("nothing was changed")
        _forget_browsers()
        _stop_newsletters()
        signers = settings().log.signers
        if not loss.begun:
            signers = (*signers, _begin(loss, name))
        with reading() as session:
            kept = recovery.begin_file(session, loss, signers)
            log = log_keys.origin(session)
    except (LedgerError, OSError, KeyServiceError) as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"The log goes on as {log}. The lost checkpoint is kept in {kept}.")
    click.echo("Start the site and the worker again; publish the new verifier key, and why.")


@group.command("adopt")
@click.argument("file", required=False, type=click.Path(path_type=Path, exists=True))
def adopt(file: Path | None) -> None:
    """Begin the high-water file anew, where it is missing: the site moved to another machine.

    FILE is a checkpoint from outside this database, the newest there is: the old machine's file,
    /ledger/checkpoint as somebody saved it, or the one in a receipt. Without FILE it is the
    newest in the database, and then nobody can tell whether the database is an old copy.
    """
    if file is None:
        click.echo("Nothing from outside shows that this database is no older copy.", err=True)
    try:
        with reading() as session:
            found = recovery.adopt(session, file.read_bytes() if file else None)
    except (LedgerError, OSError) as error:
        raise click.ClickException(str(error)) from error
    path = settings().log.high_water
    click.echo(f"{path} now holds the checkpoint of {found.origin} at size {found.size}.")


def _tell(loss: Loss, name: str) -> None:
    root = base64.b64encode(loss.lost.root).decode()
    click.echo(f"Signed:  {loss.lost.origin}, {loss.lost.size} entries, root {root}")
    root = base64.b64encode(loss.state.root).decode()
    click.echo(f"Stored:  {loss.state.size} entries, root {root}")
    if loss.begun:
        click.echo("The database has gone on already; only the high-water file is to follow.")
    else:
        click.echo(f"The log would go on from the stored entries, as {name}.")


def _forget_browsers() -> None:
    """Stop counting every browser, and delete what was counted of them: some have said no since
    the copy was made, and nobody knows which. Their cookies find no key then, and say no yes."""
    gone = 0
    while True:
        with transaction() as session:
            some = usage.end_browsers(session, limit=_BROWSERS)
        gone += some
        if some < _BROWSERS:
            break
    click.echo(f"Browsers that are not counted any more, and are asked anew: {gone}")


def _stop_newsletters() -> None:
    """Cancel what the copy was still sending: some have got it since the copy was made, and nobody
    knows who (docs/decisions/0024)."""
    with transaction() as session:
        stopped = campaigns.cancel_all(session, at=now())
    click.echo(f"{stopped} newsletters are cancelled: nobody knows who has got them.")


def _begin(loss: Loss, name: str) -> SignerKey:
    """Go on in the database; return the key that signs from now on."""
    site = settings()
    with reading() as session:
        known = [one.key for one in log_keys.known(session)]
    # In the file before it is in the database: a key that only the database knows signs nothing.
    new, _ = next_key(site.log, site.log_key_file, name, known)
    extend(lambda session: recovery.go_on(session, loss, new.verifier, at=now()))
    return new
