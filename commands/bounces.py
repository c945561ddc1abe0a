"""`flask bounces`: what came back to the senders' mailboxes, and who unsubscribes by mail."""

from __future__ import annotations

import os
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from mailbox import ExternalClashError, Maildir, mbox
from pathlib import Path
from typing import BinaryIO

import click
from flask.cli import with_appcontext
from sqlalchemy.exc import InterfaceError, OperationalError

import extensions
from domain.marketing import bounces as reports
from domain.rights import unsubscribing
from extensions import now, transaction

# A mail, and what takes it out of where it was.
Found = tuple[bytes, Callable[[], object]]

FAILED, UNSUBSCRIBED, LEFT = "failed for good", "unsubscribed", "left"
# What parts the mails of an mbox; a mail server puts it before a single mail too.
_FROM = re.compile(rb"(?:\A|(?<=\n\n))From [^\n]*\n")


@click.command()
@click.argument(
    "source", default="-", type=click.Path(exists=True, allow_dash=True, path_type=Path)
)
@click.option("--json", "as_json", is_flag=True, help="Lines of JSON from your mail service.")
@with_appcontext
def bounces(source: Path, as_json: bool) -> None:
    """Read SOURCE: a Maildir, an mbox file, or standard input with one mail or an mbox.

    An address that fails for good gets no newsletters any more, until a link that was mailed to
    it is followed; who sends `unsubscribe` and their token gets none either. Such mails are taken
    out of the mailbox when that is stored. All others stay where they are, for somebody to read.

    With --json each line is an event of Amazon SES or `{"recipient": "…", "status": "5.1.1"}`,
    and is believed: let nobody write to it but your mail service.
    """
    did: Counter[str] = Counter()
    try:
        with _opened(source) as file:
            if as_json:
                did.update(_told(line) for line in file or () if line.strip())
            else:
                for raw, take_out in _mails(source, file):
                    done = _take(raw)
                    did[done] += 1
                    if done != LEFT:
                        take_out()
    except (OperationalError, InterfaceError):
        # As a mail server understands it: keep the mail, and try again.
        click.echo("the database is away: nothing is lost, try again", err=True)
        raise SystemExit(os.EX_TEMPFAIL) from None
    click.echo(", ".join(f"{did[one]} {one}" for one in (FAILED, UNSUBSCRIBED, LEFT)))


def _take(raw: bytes) -> str:
    """Do what one mail says, in a transaction of its own."""
    if len(raw) > reports.LONGEST:
        return LEFT
    if failures := reports.failures(raw):
        return _note(failures)
    asked = reports.unsubscribing(extensions.settings().keys, raw)
    if asked is None:
        return LEFT
    unsubscribing.unsubscribe(extensions.database(), asked, None, at=now())
    return UNSUBSCRIBED


def _told(line: bytes) -> str:
    return _note(reports.told(line.decode(errors="replace")))


def _note(failures: Iterable[reports.Failure]) -> str:
    with transaction() as session:
        noted = [reports.note(session, one, at=now()) for one in failures]
    return FAILED if any(noted) else LEFT


@contextmanager
def _opened(source: Path) -> Iterator[BinaryIO | None]:
    """The file, or standard input; None of a Maildir."""
    if str(source) == "-":
        yield sys.stdin.buffer
    elif source.is_dir():
        yield None
    else:
        with source.open("rb") as file:
            yield file


def _mails(source: Path, file: BinaryIO | None) -> Iterator[Found]:
    if file is None:
        yield from _in_maildir(source)
    elif str(source) == "-":
        yield from ((raw, _nothing) for raw in _FROM.split(file.read()) if raw.strip())
    else:
        yield from _in_mbox(source)


def _in_maildir(source: Path) -> Iterator[Found]:
    if not (source / "cur").is_dir():
        raise click.ClickException(f"{source} is no Maildir")
    box = Maildir(source, create=False)
    for key in list(box.keys()):
        try:
            raw = box.get_bytes(key)
        except KeyError:  # somebody else took it
            continue
        yield raw, partial(box.discard, key)


def _in_mbox(source: Path) -> Iterator[Found]:
    # What was taken out is gone from the file when it is closed: a kill before that leaves it as it
    # was, and all of it is done again to no effect.
    with closing(mbox(source, create=False)) as box:
        try:
            box.lock()
        except ExternalClashError:
            raise click.ClickException(f"{source} is in use; try again") from None
        if not len(box) and source.stat().st_size:
            raise click.ClickException(f"{source} is no mbox")
        for key in list(box.keys()):
            yield box.get_bytes(key), partial(box.discard, key)


def _nothing() -> None:
    """Standard input is gone anyway."""
