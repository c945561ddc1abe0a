"""`flask retention`: what is kept no longer than it may be."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping

import click
from flask.cli import AppGroup

from commands.progress import Progress
from domain.rights import retention
from extensions import database, now, reading, transaction

group = AppGroup("retention", help="What goes by itself when its time is over.")

# Between two transactions, so that whoever waits to write comes in (write_turn.py).
PAUSE_SECONDS = 0.005


@group.command()
@click.option("--dry-run", is_flag=True, help="Say what would go, and change nothing.")
def run(dry_run: bool) -> None:
    """Erase and delete what is due by the rules of content/purposes.toml, and warn those whose
    account goes soon. The worker does the same once a day.

    Others write in between. A run that was stopped is gone on with by the next one.
    """
    with reading() as session:
        waiting = retention.waiting(session, at=now())
        staying = retention.staying(session, at=now())
    if dry_run:
        _say(waiting, "would go", "would be warned")
    else:
        _say(_run(sum(waiting.values())), "went", "warned")
    for why, count in staying.items():
        click.echo(f"{count} whose time is over stay: {_WHY[why]}")


_WHY = {
    "restricted": "they asked for a restriction",
    "held": "a legal hold keeps a part of what there was",
    "erasing": "their own erasure waits for its day",
    "asking": "a request of theirs is open",
    "warned": "they have not been told for long enough that they go",
}


def _run(total: int) -> Mapping[str, int]:
    with transaction() as session:
        run_id = retention.begin(session, at=now())
    progress = Progress(total, "due")
    done: Counter[str] = Counter()
    while (step := retention.step(database(), run_id, at=now())) is not None:
        done[step.rule] += step.gone
        done[retention.WARNED] += step.warned
        progress.step(step.gone + step.warned)
        time.sleep(PAUSE_SECONDS)
    database().scrub()
    return done


def _say(counts: Mapping[str, int], went: str, warned: str) -> None:
    for rule, count in counts.items():
        if count:
            click.echo(f"{count} {warned if rule == retention.WARNED else f'{went} by {rule}'}")
    if not any(counts.values()):
        click.echo("nothing is due")
