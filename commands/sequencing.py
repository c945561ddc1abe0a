"""`flask ledger sequence`: give what waits its position and publish it, once, by hand."""

from __future__ import annotations

import click
from flask import current_app

from commands.ledger import group
from domain.ledger.errors import LedgerError
from domain.ledger.sequencer import Round, Sequencer

UNSIGNED = (
    "nothing was signed: none of the configured log keys is in force. Put the key that is in"
    " force back into LOG_KEYS or its file (flask ledger keys shows it)"
)


@group.command("sequence")
def sequence() -> None:
    """Sequence all that waits, sign it and publish it; the worker does this by itself."""
    sequencer: Sequencer = current_app.extensions["sequencer"]
    try:
        done = sequencer.run()
        sequencer.give_back()
    except LedgerError as error:
        raise click.ClickException(str(error)) from error
    except OSError as error:
        # The high-water file: no room, no right. Nothing is published that does not stand there.
        place = error.filename or "the high-water file"
        raise click.ClickException(
            f"{place}: {error.strerror}. The high-water file was not written, so nothing was"
            " published. What was sequenced is published by the next run that can write it"
        ) from error
    if done.unsigned:
        raise click.ClickException(f"{_entries(done)}; {UNSIGNED}")
    click.echo(f"{_entries(done)}; {_published(done)}")


def _entries(done: Round) -> str:
    return f"{done.entries} {'entry' if done.entries == 1 else 'entries'} sequenced"


def _published(done: Round) -> str:
    if done.aside:
        return "another process is sequencing, and goes on with the rest"
    if done.published is None:
        return "nothing was left to publish"
    return f"checkpoint {done.published} signed and published"
