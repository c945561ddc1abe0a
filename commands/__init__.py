"""What the operator runs: `flask <command>`."""

from __future__ import annotations

from flask import Flask


def register(app: Flask) -> None:
    """Add the commands to the application."""
    from commands import (
        accounting,
        bounces,
        campaign,
        database,
        decisions,
        export,  # noqa: F401 - these five add their commands to ledger.group
        holds,
        ledger,
        log_keys,  # noqa: F401
        notices,
        outbox,
        receipt,  # noqa: F401
        recovery,  # noqa: F401
        requests,
        retention,
        sequencing,  # noqa: F401
        serve,
        staff,
        subjects,
        subscriptions,
        vault,
        witness,
        worker,
    )

    ledger.group.add_command(witness.witness)

    for command in (
        accounting.group,
        bounces.bounces,
        campaign.group,
        database.group,
        decisions.group,
        holds.group,
        ledger.group,
        notices.group,
        outbox.outbox,
        requests.group,
        retention.group,
        serve.serve,
        staff.group,
        subjects.group,
        subscriptions.group,
        vault.group,
        worker.worker,
    ):
        app.cli.add_command(command)
