"""`flask vault`: the keys that seal everybody's keys, and how an old one is destroyed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

import click
from flask.cli import AppGroup
from sqlalchemy.exc import SQLAlchemyError

from commands.progress import Progress
from domain.keys import SecretError
from domain.rights import vault_rotation
from domain.rights.vault_rotation import Run, Standing
from domain.subjects.errors import CannotRetire, CannotRotate
from extensions import database, now, settings

group = AppGroup("vault", help="Key-encryption keys.")


@group.command()
def status() -> None:
    """List the epochs, where their keys are, and how many values need each."""
    with _explained():
        found = vault_rotation.standing(database())
    newest = max((one.number for one in found if one.key), default=0)
    for one in found:
        click.echo(f"epoch {one.number}: {_where(one)}{', seals what is new' * _is(one, newest)}")
        for line in _history(one):
            click.echo(f"  {line}")
        click.echo(f"  needed by: {vault_rotation.described(one.needed) or 'nothing'}")
    if database().info.get("accounting") is None:
        click.echo(
            "This process does not see the books: set ACCOUNTING_DATABASE_URL to count them."
        )


@group.command()
@click.option("--kms", metavar="ARN", help="Let this key of AWS KMS be the new one.")
@click.option("--epoch-only", is_flag=True, help="Leave sealing everything again to the worker.")
@click.option("--again", is_flag=True, help="Though the newest took over within the hour.")
def rotate(kms: str | None, epoch_only: bool, again: bool) -> None:
    """Make a new epoch, and seal everything again under it.

    Where the keys are in VAULT_KEY_FILE, makes the key. Where they are in KEY_ENCRYPTION_KEYS, put
    a newer one there and restart every process before. The site goes on meanwhile. Killed, run it
    again: it goes on, as the worker does. The old epoch is then destroyed with: flask vault
    retire-epoch
    """
    with _explained():
        path = settings().vault_key_file
        epoch, made = vault_rotation.begin(database(), path, at=now(), kms=kms, again=again)
        if made:
            click.echo(f"Epoch {epoch} was added to {path}. Back it up, apart from the database.")
        if epoch_only:
            click.echo(f"The worker seals everything again under epoch {epoch}.")
            return
        run = _seal_again()
        if not vault_rotation.finish(database(), epoch, at=now()) and not run.done:
            click.echo(f"Nothing to do: everything is under epoch {epoch}, which is new.")
            return
    everything = "Everything that opens" if any(run.shut.values()) else "Everything"
    click.echo(f"{run.done} values were sealed again. {everything} is under epoch {epoch}.")


@group.command("retire-epoch")
@click.argument("epoch", type=click.IntRange(1))
@click.option(
    "--lost",
    type=click.IntRange(0),
    default=0,
    metavar="N",
    help="Give up N values that do not open: neither more nor fewer.",
)
def retire_epoch(epoch: int, lost: int) -> None:
    """Destroy the key of EPOCH, which nothing may need any more.

    With it goes what erased people left in older backups: nobody can open it then. So do not
    keep a copy of the key, nor a backup of the database that you may want to open.
    """
    with _explained():
        held = {one.number: one for one in vault_rotation.standing(database())}.get(epoch)
        done = vault_rotation.retire(
            database(), settings().vault_key_file, epoch, at=now(), given_up=lost
        )
    if not done:
        click.echo(f"Epoch {epoch} was retired before.")
        return
    click.echo(f"Epoch {epoch} is retired. Destroy every copy of its key, in backups too.")
    name = held.key.kms if held and held.key else None
    if name:
        click.echo(
            "AWS still has its key. Destroy it there, which takes a week at least:\n"
            f"aws kms schedule-key-deletion --key-id {name} --pending-window-in-days 7"
        )


def _seal_again() -> Run:
    """Until a whole way through finds nothing that opens: rows that somebody had locked are met
    the next time."""
    run, total = Run(), sum(vault_rotation.left(database()).values())
    progress = Progress(total, "values sealed again")
    while total and vault_rotation.left(database()):
        before, run.shut = run.done, {}
        for batch in vault_rotation.batches(database(), run):
            progress.step(batch.moved)
        if run.done == before:
            break
    for name, rows in run.shut.items():
        for row in rows:
            click.echo(f"{name}: {row} does not open, and cannot be sealed again", err=True)
    return run


@contextmanager
def _explained() -> Iterator[None]:
    """What can go wrong, in words for the operator. A database's own may quote a row."""
    try:
        yield
    except (SecretError, CannotRotate, CannotRetire) as error:
        raise click.ClickException(str(error)) from error
    except OSError as error:
        raise click.ClickException(f"{error.filename}: {error.strerror}") from error
    except SQLAlchemyError as error:
        raise click.ClickException(
            f"the database: {type(error).__name__}. Run it again: it goes on"
        ) from error


def _is(one: Standing, newest: int) -> bool:
    return one.number == newest


def _where(one: Standing) -> str:
    if one.key is not None:
        held = "its key is here" if one.key.kms is None else f"AWS KMS, {one.key.kms}"
        return f"{held}, made {_time(one.key.made_at)}" if one.key.made_at else held
    if one.recorded is not None and one.recorded.retired_at is not None:
        return "its key was destroyed"
    return "its key is not here"


def _history(one: Standing) -> Iterator[str]:
    row = one.recorded
    if row is None:
        return
    yield f"in use since {_time(row.begun_at)}"
    if row.rotated_at is not None:
        yield f"took over {_time(row.rotated_at)}"
    if row.retired_at is not None:
        yield f"retired {_time(row.retired_at)}"


def _time(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"
