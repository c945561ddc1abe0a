"""What the operator runs: `flask <command>`."""

from __future__ import annotations

from flask import Flask


def register(app: Flask) -> None:
    """Add the commands to the application."""
    from commands import (
        database,
        decisions,
        export,  # noqa: F401 - these five add their commands to ledger.group
        keys,
        ledger,
        log_keys,  # noqa: F401
        notices,
        outbox,
        receipt,  # noqa: F401
        recovery,  # noqa: F401
        sequencing,  # noqa: F401
        serve,
        witness,
        worker,
    )

    ledger.group.add_command(witness.witness)

    for command in (
        database.group,
        decisions.group,
        keys.group,
        ledger.group,
        notices.group,
        outbox.outbox,
        serve.serve,
        worker.worker,
    ):
        app.cli.add_command(command)
