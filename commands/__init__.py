"""What the operator runs: `flask <command>`."""

from __future__ import annotations

from flask import Flask


def register(app: Flask) -> None:
    """Add the commands to the application."""
    from commands import database, decisions, keys, ledger, notices, outbox, serve, worker

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
