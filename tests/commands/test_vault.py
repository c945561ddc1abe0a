"""`flask vault`: keys that follow one another, whatever dies meanwhile."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import time_machine
from sqlalchemy import delete, insert, select, update
from structlog.testing import capture_logs

from database import Database, table_of
from domain import epochs, kms, sealed
from domain.accounting import records
from domain.accounting.models import AccountingRecord
from domain.epochs import KeyFile
from domain.keys import UnknownEpoch, WrongSeal
from domain.ledger import files
from domain.rights import vault_rotation
from domain.sealed import Sealed
from domain.subjects import rotation, service
from domain.subjects.models import Subject, VaultEpoch
from extensions import now
from settings import Settings
from tests.support import NOON
from tests.support.aws import kms_of_moto
from tests.support.databases import Urls
from tests.support.faults import die, killed
from tests.support.vaults import HOURS, Operator


@pytest.fixture
def operator(
    settings: Settings, database: Database, instance: Path, clock: time_machine.Traveller
) -> Operator:
    """Three people, under the first key of a file."""
    path = instance / "vault-keys"
    path.write_text(epochs.make(1, at=NOON - HOURS).line())
    path.chmod(0o600)
    made = Operator(settings, database)
    made.use(replace(settings.keys, epochs=KeyFile(path)))
    made.sign_up(3)
    return made


@pytest.mark.requirement(82)
def test_a_key_is_followed_by_another_and_destroyed(
    operator: Operator, clock: time_machine.Traveller
) -> None:
    """The whole of it. What was sealed under the old key is under the new one, the ledger says so
    once, and what an old backup holds opens no more."""
    with operator.database.reading() as session:
        person, old = session.execute(select(Subject.id, Subject.wrapped_key)).first()  # type: ignore[misc]
    rotated = operator.run("rotate")
    assert rotated.exit_code == 0, rotated.output
    assert "Epoch 2 was added" in rotated.output
    assert "9 values were sealed again. Everything is under epoch 2." in rotated.output
    assert "9 of 9 values sealed again" in rotated.stderr
    assert (operator.opens(), operator.said("vault.rotated")) == ({2}, [2])
    assert "Nothing to do" in operator.run("rotate").output
    early = operator.run("retire-epoch", "1")
    assert (early.exit_code, "less than an hour ago" in early.output) == (1, True)
    clock.shift(HOURS)
    standing = operator.run("status").output
    assert "epoch 1: its key is here, made 2026-11-22T10:00:00Z\n" in standing
    assert "needed by: 3 subjects' keys, 3 messages, 3 invoices" in standing.partition("epoch 2")[2]
    secret = [line.split()[2] for line in operator.path.read_text().splitlines()]
    retired = operator.run("retire-epoch", "1")
    assert retired.exit_code == 0, retired.output
    assert (operator.epochs(), operator.said("vault.epoch_retired")) == ([2], [1])
    assert secret[0] not in operator.path.read_text()
    assert "retired before" in operator.run("retire-epoch", "1").output
    standing += operator.run("status").output
    assert "epoch 1: its key was destroyed" in standing
    assert not any(key in standing + rotated.output for key in secret)
    with pytest.raises(UnknownEpoch), operator.database.reading() as session:
        service.unwrap(session, person, old)
    assert (operator.opens(), operator.said("vault.epoch_retired")) == ({2}, [1])


def test_no_epoch_is_destroyed_that_is_needed(
    operator: Operator, clock: time_machine.Traveller
) -> None:
    """One that is unknown, the newest, one that was not rotated away, one that a value still
    needs: each is refused, and says why."""
    with operator.database.reading() as session:
        person, old = session.execute(select(Subject.id, Subject.wrapped_key)).first()  # type: ignore[misc]

    def refused(epoch: str, *words: str) -> None:
        result = operator.run("retire-epoch", epoch)
        assert (result.exit_code, [one in result.output for one in words]) == (
            1,
            [True] * len(words),
        )

    refused("1", "there is no epoch 1")
    assert operator.run("rotate", "--epoch-only").exit_code == 0
    clock.shift(HOURS)
    refused("2", "the newest")
    refused("1", "has not taken over yet", "flask vault rotate")
    assert operator.run("rotate").exit_code == 0
    with operator.database.transaction() as session:
        session.execute(update(Subject).where(Subject.id == person).values(wrapped_key=old))
    refused("1", "1 subjects' keys", "flask vault rotate")
    again = operator.run("rotate")
    assert "1 values were sealed again" in again.output
    assert (operator.epochs(), operator.said("vault.rotated")) == ([1, 2], [2])
    assert operator.run("retire-epoch", "1").exit_code == 0


@pytest.mark.parametrize("worker", [False, True], ids=["command", "worker"])
def test_a_value_that_does_not_open_keeps_nobody_elses_under_the_old_key(
    operator: Operator, clock: time_machine.Traveller, worker: bool
) -> None:
    """A person's key and an invoice: they are named and counted, the others are sealed again, and
    the old key is destroyed only by who says how many are lost with it."""
    first, second, _ = sorted(operator.keys)
    books = operator.database.info["accounting"]
    with operator.database.transaction() as session:
        stolen = session.scalar(select(Subject.wrapped_key).where(Subject.id == second))
        session.execute(update(Subject).where(Subject.id == first).values(wrapped_key=stolen))
    with books.transaction() as session:
        moved = session.execute(select(table_of(AccountingRecord))).mappings().first()
        session.execute(delete(AccountingRecord).where(AccountingRecord.id == moved["id"]))
        session.execute(insert(table_of(AccountingRecord)), {**moved, "id": UUID(int=1)})
    with pytest.raises(WrongSeal), operator.database.reading() as session:
        service.subject_key(session, service.get(session, first))
    if worker:
        assert operator.run("rotate", "--epoch-only").exit_code == 0
        with capture_logs() as logged:
            while vault_rotation.step(operator.database, at=now()):
                pass
        told = [one["values"] for one in logged if one["log_level"] == "error"]
        assert told == ["1 subjects' keys, 1 invoices"]
        assert not vault_rotation.step(operator.database, at=now())
    else:
        rotated = operator.run("rotate")
        assert rotated.exit_code == 0
        assert f"subjects' keys: {first} does not open" in rotated.output
        assert f"invoices: {UUID(int=1)} does not open" in rotated.output
        assert "7 values were sealed again. Everything that opens is" in rotated.output
    assert operator.said("vault.rotated") == [2]
    clock.shift(HOURS)
    for arguments in ((), ("--lost", "1")):
        refused = operator.run("retire-epoch", "1", *arguments)
        assert (refused.exit_code, "1 subjects' keys, 1 invoices" in refused.output) == (1, True)
        assert "--lost 2" in refused.output
    assert operator.run("rotate").exit_code == 0  # nor is the next key kept from following
    assert (operator.epochs(), operator.said("vault.rotated")) == ([1, 2, 3], [2, 3])
    clock.shift(HOURS)
    assert operator.run("retire-epoch", "1", "--lost", "2").exit_code == 0
    assert (operator.epochs(), operator.said("vault.epoch_retired")) == ([2, 3], [1])


def test_who_cannot_see_the_books_neither_finishes_nor_destroys(
    operator: Operator, urls: Urls, clock: time_machine.Traveller
) -> None:
    """An invoice may need the old key: a process that can see it finishes what another did."""
    blind = Database(urls.application, info={**operator.database.info, "accounting": None})
    assert operator.run("rotate", "--epoch-only", database=blind).exit_code == 0
    while vault_rotation.step(blind, at=now()):
        pass
    assert operator.said("vault.rotated") == []
    refused = operator.run("rotate", database=blind)
    assert (refused.exit_code, "ACCOUNTING_DATABASE_URL" in refused.output) == (1, True)
    while vault_rotation.step(operator.database, at=now()):
        pass
    assert (operator.opens(), operator.said("vault.rotated")) == ({2}, [2])
    clock.shift(HOURS)
    refused = operator.run("retire-epoch", "1", database=blind)
    assert (refused.exit_code, "ACCOUNTING_DATABASE_URL" in refused.output) == (1, True)
    assert operator.epochs() == [1, 2]
    blind.close()
    assert operator.run("retire-epoch", "1").exit_code == 0


def test_keys_of_the_environment_are_the_operators_to_change(
    operator: Operator, clock: time_machine.Traveller
) -> None:
    """The command says what to put where, goes on when it is there, and believes an epoch retired
    when its key is not there any more."""
    ring = operator.settings.keys
    first, second = ring.epochs[1], bytes(range(32))
    operator.use(replace(ring, epochs={1: first}))
    refused = operator.run("rotate")
    assert (refused.exit_code, "add 2:<32 random bytes" in refused.output) == (1, True)
    operator.use(replace(ring, epochs={1: first, 2: second}))
    assert operator.run("rotate").exit_code == 0
    assert operator.opens() == {2}
    clock.shift(HOURS)
    refused = operator.run("retire-epoch", "1")
    assert (refused.exit_code, "take it out there" in refused.output) == (1, True)
    assert operator.said("vault.epoch_retired") == []
    operator.use(replace(ring, epochs={2: second}))
    assert operator.run("retire-epoch", "1").exit_code == 0
    assert operator.said("vault.epoch_retired") == [1]


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """moto's KMS."""
    with kms_of_moto(monkeypatch) as client:
        yield client


def test_from_a_file_to_kms_and_back(
    operator: Operator, aws: Any, clock: time_machine.Traveller
) -> None:
    """A key of KMS that does not work is not taken; one that does seals everything; and so does a
    key in the file after it. AWS keeps its key: the command says how to destroy it."""
    wrong = "arn:aws:kms:eu-north-1:123456789012:key/00000000-0000-0000-0000-000000000000"
    refused = operator.run("rotate", "--kms", wrong)
    assert (refused.exit_code, "NotFoundException" in refused.output) == (1, True)
    assert "not an alias" in operator.run("rotate", "--kms", "alias/vault").output
    assert operator.epochs() == [1]
    arn = aws.create_key()["KeyMetadata"]["Arn"]
    rotated = operator.run("rotate", "--kms", arn)
    assert rotated.exit_code == 0, rotated.output
    kms.forget()
    assert (operator.epochs(), operator.opens()) == ([1, 2], {2})
    assert f"epoch 2: AWS KMS, {arn}" in operator.run("status").output
    clock.shift(HOURS)
    assert operator.run("retire-epoch", "1").exit_code == 0
    assert "the same key" in operator.run("rotate", "--kms", arn).output
    assert operator.run("rotate").exit_code == 0
    assert operator.opens() == {3}
    clock.shift(HOURS)
    assert f"schedule-key-deletion --key-id {arn}" in operator.run("retire-epoch", "2").output
    assert (operator.epochs(), operator.said("vault.rotated")) == ([3], [2, 3])


def dies_after(real: Callable[..., Any]) -> Callable[..., Any]:
    """The call does what it should, and then the process is gone."""

    def call(*values: Any, **named: Any) -> Any:
        real(*values, **named)
        os.kill(os.getpid(), signal.SIGKILL)

    return call


ROTATING = (
    (files, "write_draft", killed),
    (files, "rename", killed),
    (files, "rename", dies_after),
    (rotation, "record", dies_after),
    (vault_rotation, "begin", dies_after),
    (Sealed, "_write", killed),
    (Sealed, "_write", dies_after),
    (records, "reseal", dies_after),
    (vault_rotation, "finish", killed),
    (rotation, "append_anonymous", killed),
    (rotation, "append_anonymous", dies_after),
    (vault_rotation, "finish", dies_after),
)
RETIRING = (
    (files, "write_draft", killed),
    (files, "rename", dies_after),
    (rotation, "append_anonymous", dies_after),
    (vault_rotation, "retire", dies_after),
)


@pytest.mark.requirement(82)
def test_whoever_is_killed_is_gone_on_for(
    operator: Operator,
    urls: Urls,
    clock: time_machine.Traveller,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """SIGKILL at each step, while people sign up: everything opens at any time, and who comes next,
    the worker or the command, finishes with one key more. The ledger says so once."""
    monkeypatch.setattr(sealed, "BATCH", 2)

    def dying(how: Any, *arguments: str) -> None:
        books = operator.database.info["accounting"]
        operator.database.close()
        books.close()

        def work() -> None:
            info = {**operator.database.info}
            info["accounting"] = Database(urls.accounting, info=books.info, role="accounting")
            database = Database(urls.application, info=info)
            where, name, fault = how
            monkeypatch.setattr(where, name, fault(getattr(where, name)))
            operator.run(*arguments, database=database)

        die(work)

    for newest, how in enumerate(ROTATING, 2):
        clock.shift(HOURS)
        dying(how, "rotate")
        operator.sign_up()
        operator.opens()
        while vault_rotation.step(operator.database, at=now()):
            pass
        assert operator.run("rotate").exit_code == 0
        assert operator.epochs() == list(range(1, newest + 1)), how
        assert operator.opens() == {newest}, how
        assert operator.said("vault.rotated") == list(range(2, newest + 1)), how
    for old, how in enumerate(RETIRING, 1):
        clock.shift(HOURS)
        dying(how, "retire-epoch", str(old))
        done = list(range(1, old))
        assert operator.said("vault.epoch_retired") in (done, [*done, old])
        if operator.said("vault.epoch_retired") == [*done, old]:
            assert old not in operator.epochs()  # never said before it was
        assert operator.run("retire-epoch", str(old)).exit_code == 0
        assert operator.said("vault.epoch_retired") == [*done, old], how
        assert old not in operator.epochs()
    with operator.database.reading() as session:
        rows = session.scalars(select(VaultEpoch).order_by(VaultEpoch.epoch)).all()
        assert all(row.rotated_at for row in rows)


@pytest.mark.parametrize("backend", ["postgresql"], indirect=True)
def test_rotating_waits_for_nobody(operator: Operator) -> None:
    """A person whose row somebody has locked is left for the next time; the others are done."""
    operator.run("rotate", "--epoch-only")
    held = min(operator.keys)
    ring = operator.settings.keys
    with operator.database.transaction() as session:
        service.lock(session, held)
        service.SEALED.rotate(operator.database, ring, [1])
        with operator.database.reading() as other:
            assert service.SEALED.counts(other) == {1: 1, 2: 2}
    assert operator.run("rotate").exit_code == 0
    assert operator.opens() == {2}
