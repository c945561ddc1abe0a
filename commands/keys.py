"""`flask keys`: the keys that seal the keys of data subjects."""

from __future__ import annotations

import click
from flask.cli import AppGroup

from domain.subjects import service as subjects
from extensions import transaction

group = AppGroup("keys", help="Key-encryption keys.")


@group.command()
def rewrap() -> None:
    """Seal every subject's key under the newest epoch of KEY_ENCRYPTION_KEYS.

    To retire a key: put a new epoch beside it, restart, run this, wait until the outbox is
    empty, take the old epoch away, and destroy it. Then no backup opens the keys of the erased.
    """
    with transaction() as session:
        rewrapped = subjects.rewrap(session)
    click.echo(f"{rewrapped} keys were sealed again.")
