"""`flask ledger keys`, `rotate-key`, `retire-key`: which keys sign the log."""

from __future__ import annotations

from collections.abc import Callable

import click
from sqlalchemy.orm import Session

from commands.ledger import group
from domain.ledger import high_water, log_keys, tree
from domain.ledger.checkpoints import Checkpoint
from domain.ledger.errors import LedgerError, Overtaken
from domain.ledger.key_file import next_key
from domain.ledger.notes import Note, VerifierKey
from extensions import now, reading, settings, transaction

# A busy sequencer extends the log a few times a second; a command that it overtook tries again.
_TRIES = 20
_ELSEWHERE = "the first key of the process that signs; this one does not (LOG_KEYS is none)"


@group.command("keys")
def keys() -> None:
    """List the log's verifier keys, and the sizes of the checkpoints that each signs."""
    own = {signer.verifier for signer in settings().log.signers}
    with reading() as session:
        known = log_keys.known(session)
    for one in known:
        until = "" if one.to_size is None else f" to {one.to_size}"
        state = "in force" if one.to_size is None else "retired"
        here = ", its private key is here" if one.key in own else ""
        click.echo(f"{one.key}\n  signs from {one.from_size + 1}{until}; {state}{here}")
    if not known:
        click.echo("The log has no key yet; its first entry registers:")
        click.echo(next((f"{one.verifier}" for one in settings().log.signers), _ELSEWHERE))


@group.command("rotate-key")
def rotate_key() -> None:
    """Let a new key sign the log beside those in force.

    Takes the key in the settings that the log does not know yet. Where there is none, and the
    keys stand in a file, it makes one and adds it to the file first: killed in between, run it
    again. Both sign until the old one is retired: flask ledger retire-key.
    """
    site = settings()
    try:
        log_keys.first_signer(site.log)
        with reading() as session:
            high_water.check(session)
            origin = log_keys.origin(session)
            known = [one.key for one in log_keys.known(session)]
        if not known:
            raise click.ClickException("the log has no key yet: its first entry registers one")
        new, made = next_key(site.log, site.log_key_file, origin, known)
        extend(lambda session: log_keys.rotate(session, new.verifier, at=now()))
    except (LedgerError, OSError) as error:
        raise click.ClickException(str(error)) from error
    if made:
        click.echo(f"A new key was added to {site.log_key_file}. Back it up.")
    click.echo(f"The log is now signed with this key too:\n{new.verifier}")
    click.echo(
        "A process that runs signs with the keys it started with: restart the worker, and its\n"
        "checkpoints carry both signatures. Then: flask ledger retire-key <the old key>"
    )


@group.command("retire-key")
@click.argument("key")
def retire_key(key: str) -> None:
    """Let KEY, a verifier key or its id of eight letters, sign nothing from now on.

    What it signed until now goes on verifying. Refuses the last key in force that stands in the
    settings.
    """
    try:
        log_keys.first_signer(settings().log)
        with reading() as session:
            high_water.check(session)
            found = _named(session, key)
            unproved = not _others_sign(session, found)
        extend(lambda session: log_keys.retire(session, found, at=now()))
    except LedgerError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"Retired:\n{found}\nTake its private key out of the settings at the next restart.")
    if unproved:
        click.echo(
            "The newest checkpoint is not signed by any other key: a worker that started before\n"
            "the new key was there publishes nothing until it is restarted. Restart it now."
        )


def extend(change: Callable[[Session], tree.State]) -> tree.State:
    """Make a change that extends the log; again, where a sequencer was faster."""
    for _ in range(_TRIES - 1):
        try:
            with transaction() as session:
                return change(session)
        except Overtaken:
            continue
    with transaction() as session:
        return change(session)


def _named(session: Session, text: str) -> VerifierKey:
    """The key in force that is meant."""
    for key in log_keys.in_force(session):
        if text in (str(key), key.id.hex()):
            return key
    raise click.ClickException(
        f"{text} is not a key in force, nor the id of one; flask ledger keys lists them"
    )


def _others_sign(session: Session, key: VerifierKey) -> bool:
    """Whether a key that stays in force signed the newest checkpoint: the worker has it."""
    newest = tree.published(session)
    if newest is None:
        return True
    others = [one for one in log_keys.in_force(session) if one != key]
    note = Note.parse(newest.note)
    return Checkpoint.parse(note.text).size == 0 or bool(note.verified(others))
