"""Everything that a key-encryption key seals, sealed again under a new one, and the old one
destroyed when nothing needs it.

It goes in small steps, each whole by itself; how far it came is in the values, which say their
epoch. So whoever begins anew, the command or the worker, goes on where a killed one was.

A value that does not open is left where it is, and told of: one damaged row must not keep everybody
else's under an old key for ever. The old key is destroyed only by somebody who says how many such
values are lost with it. Nor is anything said or destroyed by a process that cannot see the books,
where somebody keeps them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from uuid import UUID

import structlog

from database import Database, table_of
from domain.accounting import records
from domain.accounting.models import AccountingRecord
from domain.analytics import pseudonyms
from domain.delivery import outbox
from domain.epochs import Epoch, KeyFile
from domain.keys import Keyring, SecretError
from domain.kms import KmsKey
from domain.sealed import BATCH, FIRST, Batch, Sealed
from domain.subjects import rotation, service
from domain.subjects.errors import CannotRetire, CannotRotate
from domain.subjects.models import VaultEpoch

SEALED = (service.SEALED, outbox.SEALED, pseudonyms.SEALED)
# In sessions of its own, whose role may add and delete and never change (domain/accounting).
BOOKS = Sealed(
    "invoices", table_of(AccountingRecord).c.buyer, lambda row: b"accounting:" + row.bytes
)

log = structlog.get_logger()


@dataclass
class Run:
    """One way through everything: what is done, and which values did not open, by what they are."""

    done: int = 0
    shut: dict[str, list[UUID]] = field(default_factory=dict)


def begin(
    database: Database,
    path: Path | None,
    *,
    at: datetime,
    kms: str | None = None,
    again: bool = False,
) -> tuple[int, bool]:
    """The epoch that everything is to be sealed under, recorded, and whether its key was made
    just now.

    One that is not finished, or that nobody recorded yet, is gone on with. Else a new key is put
    into the file; where there is none (`path` is None), the operator has to. Raises
    CannotRotate, MalformedKeys, KeyServiceError, OSError.
    """
    epochs = _epochs(database.info["keyring"])
    newest, made = epochs[-1], False
    recorded = _recorded(database)
    if not recorded and len(epochs) == 1:
        _record_first(database, newest, at)
        recorded = _recorded(database)
    row = recorded.get(newest.number)
    if row is not None and row.rotated_at is not None and lost(database) is not None:
        if path is None:
            raise CannotRotate(_IN_THE_ENVIRONMENT.format(newest.number, newest.number + 1))
        if not again and len(recorded) > 1 and at < row.rotated_at + rotation.NOTICED:
            return newest.number, False  # whoever was killed at the very end runs it again
        if kms is not None:
            _try(kms)
        newest, made = rotation.next_epoch(path, recorded, at=at, kms=kms)
    if kms is not None and newest.key != KmsKey(kms):
        raise CannotRotate(f"epoch {newest.number} is not finished: run this without --kms first")
    with database.transaction() as session:
        rotation.record(session, [*epochs, newest], at=at)
    return newest.number, made


def step(database: Database, *, at: datetime) -> bool:
    """One batch of a rotation that was begun; True if there is more. The worker's part."""
    ring: Keyring = database.info["keyring"]
    recorded = [one for one in _recorded(database).values() if one.rotated_at is None]
    try:
        newest = max(ring.epochs)
        if newest not in {one.epoch for one in recorded}:
            return False
        run = Run()
        for batch in batches(database, run):
            if batch.moved:
                return True
        if not _sees_books(database):
            return False  # another process does, and finishes it
        if finish(database, newest, at=at) and any(run.shut.values()):
            told = {name: len(rows) for name, rows in run.shut.items() if rows}
            log.error("vault_values_shut", epoch=newest, values=described(told))
    except (SecretError, CannotRotate) as error:
        log.error("vault_rotation", error=str(error))
    return False


def batches(database: Database, run: Run | None = None) -> Iterator[Batch]:
    """Seal again what is under an older epoch, a batch at a time. Raises KeyServiceError."""
    run = run or Run()
    ring: Keyring = database.info["keyring"]
    for sealed in SEALED:
        after = FIRST
        while batch := sealed.rotate(database, ring, _older(ring), after=after):
            after = batch.last
            run.done += batch.moved
            run.shut.setdefault(sealed.name, []).extend(batch.shut)
            yield batch
    books: Database | None = database.info.get("accounting")
    after = FIRST
    while books is not None:
        with books.transaction() as session:
            done = records.reseal(session, after=after, limit=BATCH)
        if done is None:
            return
        after = done.last
        run.done += done.moved
        run.shut.setdefault(BOOKS.name, []).extend(done.shut)
        yield done


def finish(database: Database, epoch: int, *, at: datetime) -> bool:
    """Say that nothing that opens needs an older epoch, once; False if that was said before.
    Raises CannotRotate where it is not so, or cannot be seen from here; KeyServiceError."""
    newest = max(database.info["keyring"].epochs)
    if newest != epoch:
        raise CannotRotate(f"epoch {newest} seals what is new, and not {epoch}")
    if not _sees_books(database):
        raise CannotRotate(f"epoch {epoch} is not finished here: {_NO_BOOKS}")
    if lost(database) is None:
        found = described(left(database))
        raise CannotRotate(f"still under an older epoch than {epoch}: {found}")
    with database.transaction() as session:
        return rotation.finish(session, epoch, at=at)


def left(database: Database, epochs: Sequence[int] | None = None) -> dict[str, int]:
    """How many values are sealed under older epochs whose keys we have, or under these; by what
    they are, and only where there are any."""
    if epochs is None:
        epochs = _older(database.info["keyring"])
    found = {}
    with database.reading() as session:
        for sealed in SEALED:
            found[sealed.name] = sealed.count(session, epochs)
    books: Database | None = database.info.get("accounting")
    if books is not None:
        with books.reading() as session:
            found[BOOKS.name] = BOOKS.count(session, epochs)
    return {name: count for name, count in found.items() if count}


def lost(database: Database, epochs: Sequence[int] | None = None) -> dict[str, int] | None:
    """How many values under older epochs whose keys we have, or under these, do not open; by what
    they are, and only where there are any. None where one opens: it is to be sealed again, and not
    lost. Raises KeyServiceError."""
    ring: Keyring = database.info["keyring"]
    epochs = _older(ring) if epochs is None else epochs
    books: Database | None = database.info.get("accounting")
    places = [(one, database) for one in SEALED] + ([(BOOKS, books)] if books is not None else [])
    found = {}
    for sealed, where in places:
        count = sealed.shut(where, ring, epochs)
        if count is None:
            return None
        found[sealed.name] = count
    return {name: count for name, count in found.items() if count}


def described(counts: Mapping[str, int]) -> str:
    """Counts in words."""
    return ", ".join(f"{count} {name}" for name, count in counts.items())


def retire(
    database: Database, path: Path | None, epoch: int, *, at: datetime, given_up: int = 0
) -> bool:
    """Destroy the key of an epoch that nothing needs, and then say so in the ledger; False if that
    was done before. So many values that do not open are given up with it, no more and no fewer.

    Where the keys are not in a file, the operator destroys it first. Raises CannotRetire,
    MalformedKeys, KeyServiceError, OSError.
    """
    ring: Keyring = database.info["keyring"]
    row = _recorded(database).get(epoch)
    if row is None:
        raise CannotRetire(f"there is no epoch {epoch}; flask vault status lists them")
    if row.retired_at is not None and epoch not in ring.epochs:
        return False
    _check_newest(database, _epochs(ring), epoch, at)
    if not _sees_books(database):
        raise CannotRetire(f"nobody knows from here what needs epoch {epoch}: {_NO_BOOKS}")
    shut = lost(database, [epoch])
    if shut is None:
        needed = described(left(database, [epoch]))
        raise CannotRetire(f"epoch {epoch} is needed by {needed}: run flask vault rotate")
    if (count := sum(shut.values())) != given_up:
        raise CannotRetire(_SHUT.format(epoch, described(shut) or "nothing", count))
    if path is not None:
        rotation.destroy(path, epoch)
    elif epoch in ring.epochs:
        raise CannotRetire(_TAKE_OUT.format(epoch))
    with database.transaction() as session:
        return rotation.retired(session, epoch, at=at)


@dataclass(frozen=True)
class Standing:
    """An epoch as `flask vault status` shows it: its key, if it is here, what was recorded of it,
    and how many values need it."""

    number: int
    key: Epoch | None
    recorded: VaultEpoch | None
    needed: Mapping[str, int]


def standing(database: Database) -> list[Standing]:
    """Every epoch that has a key, was recorded, or that a value is sealed under."""
    ring: Keyring = database.info["keyring"]
    here = {one.number: one for one in _epochs(ring)}
    counted = {}
    with database.reading() as session:
        recorded = rotation.known(session)
        for sealed in SEALED:
            counted[sealed.name] = sealed.counts(session)
    books: Database | None = database.info.get("accounting")
    if books is not None:
        with books.reading() as session:
            counted[BOOKS.name] = BOOKS.counts(session)
    numbers = {*here, *recorded, *(one for counts in counted.values() for one in counts)}
    return [
        Standing(one, here.get(one), recorded.get(one), _needing(counted, one))
        for one in sorted(numbers)
    ]


def _needing(counted: Mapping[str, Mapping[int, int]], epoch: int) -> dict[str, int]:
    return {name: counts[epoch] for name, counts in counted.items() if epoch in counts}


def _check_newest(database: Database, epochs: Sequence[Epoch], epoch: int, at: datetime) -> None:
    """Raise unless a newer epoch took over, long enough ago for every process to know it."""
    newest = epochs[-1]
    if epoch >= newest.number:
        raise CannotRetire(f"epoch {epoch} is the newest: it seals whatever is new")
    row = _recorded(database).get(newest.number)
    if row is None or row.rotated_at is None:
        raise CannotRetire(f"epoch {newest.number} has not taken over yet: run flask vault rotate")
    noticed = max(newest.made_at or row.begun_at, row.begun_at) + rotation.NOTICED
    if at < noticed:
        raise CannotRetire(
            f"epoch {newest.number} was made less than an hour ago: a process that runs may still"
            f" seal under epoch {epoch}. Wait until {noticed:%H:%M} UTC"
        )


def _record_first(database: Database, first: Epoch, at: datetime) -> None:
    with database.transaction() as session:
        rotation.record(session, [first], at=at)
        rotation.began_with(session, first.number, at=at)


def _recorded(database: Database) -> dict[int, VaultEpoch]:
    with database.reading() as session:
        return rotation.known(session)


def _try(kms: str) -> None:
    """A key that does not work must not seal anything. Raises SecretError."""
    key, context = KmsKey(kms), b"trial:"
    key.unseal(key.seal(b"", context), context)


def _epochs(ring: Keyring) -> list[Epoch]:
    """What is known of the keys here, by epoch."""
    if isinstance(ring.epochs, KeyFile):
        return ring.epochs.epochs()
    return [Epoch(number, key) for number, key in sorted(ring.epochs.items())]  # type: ignore[arg-type]


def _sees_books(database: Database) -> bool:
    """Whether this process reads the books, or nobody keeps any."""
    with database.reading() as session:
        return records.known(session)


def _older(ring: Keyring) -> list[int]:
    return sorted(ring.epochs)[:-1]


_IN_THE_ENVIRONMENT = (
    "everything is sealed under epoch {0}, the newest. The keys are in KEY_ENCRYPTION_KEYS, where"
    " this command cannot put one: add {1}:<32 random bytes in base64> (openssl rand -base64 32),"
    " or {1}:aws-kms:<ARN>, restart every process, and run it again. To have it make keys by"
    " itself, move them into VAULT_KEY_FILE"
)
_TAKE_OUT = (
    "nothing needs epoch {0} any more, and its key is in KEY_ENCRYPTION_KEYS, where this command"
    " cannot destroy it: take it out there, restart every process, destroy every copy of it, and"
    " run this again. Then the ledger says so"
)
_NO_BOOKS = (
    "this process does not see the books, whose buyers may need an older key. Run it where"
    " ACCOUNTING_DATABASE_URL is set"
)
_SHUT = (
    "under epoch {0} these do not open: {1}. They are damaged, or their key is not here; if it is"
    " somewhere else, put it back and run flask vault rotate. What does not open is lost with the"
    " epoch: to destroy it all the same, say --lost {2}"
)
