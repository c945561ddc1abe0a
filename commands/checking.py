"""Checking the invariants, in one process or in several.

Each check, and each part of a long one, reads the database as it is at one moment, for no longer
than it needs: a site that writes meanwhile is not held up, and SQLite's write-ahead log does not
grow until the end. The parts are cut at the beginning: what is appended later is for next time.
"""

from __future__ import annotations

import multiprocessing
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any

from database import Database
from domain.ledger.invariants import Check, Invariant, Part, Tell, Violation, Walk

Checks = Sequence[Check | Walk]


class Ended(Exception):
    """A process that checked ended before it was done."""


@dataclass(frozen=True)
class Job:
    """A check, and the part of it that is to be done. Those of a later stage lean on what the
    earlier stages found to be sound."""

    stage: int
    check: Check | Walk
    part: Part


@dataclass(frozen=True)
class Plan:
    """What there is to check, in order."""

    jobs: Sequence[Job]

    @property
    def rows(self) -> int:
        """How many rows that is."""
        return sum(job.part.rows for job in self.jobs)

    @classmethod
    def of(cls, database: Database, *stages: Checks) -> Plan:
        """Everything, as far as the log goes now."""
        with database.reading() as session:
            return cls(
                [
                    Job(stage, check, part)
                    for stage, checks in enumerate(stages)
                    for check in checks
                    for part in check.parts(session)
                ]
            )


def first_violation(
    database: Database, plan: Plan, tell: Tell, processes: int = 1
) -> Violation | None:
    """The first violation in the plan's order, or None. Raises Ended."""
    if processes > 1:
        return _together(database, plan, tell, processes)
    for job in plan.jobs:
        violation = _run(database, job, tell)
        if violation is not None:
            return violation
    return None


def _run(database: Database, job: Job, tell: Tell) -> Violation | None:
    with database.reading() as session:
        return job.check.first(session, job.part, tell)


def _together(database: Database, plan: Plan, tell: Tell, processes: int) -> Violation | None:
    """Hand the jobs out. When one finds something, nothing behind it in the plan is begun and all
    before it is done, so that what is found is what one process finds."""
    # No connection may be open when the children are forked: it would be theirs too.
    database.close()
    context = multiprocessing.get_context("fork")
    idle: list[Connection] = []
    children: list[Any] = []
    for _ in range(processes):
        ours, theirs = context.Pipe()
        child = context.Process(target=_child, args=(database, plan, theirs, ours), daemon=True)
        child.start()
        theirs.close()
        idle.append(ours)
        children.append(child)
    try:
        return _hand_out(plan, idle, tell)
    finally:
        for child in children:
            child.terminate()
            child.join()


def _hand_out(plan: Plan, idle: list[Connection], tell: Tell) -> Violation | None:
    waiting = _order(plan)
    busy: dict[Connection, int] = {}
    found: dict[int, Violation] = {}
    while True:
        while idle and waiting and _may(plan, waiting[0], busy):
            connection = idle.pop()
            connection.send(waiting[0])
            busy[connection] = waiting.popleft()
        if not busy:
            return found[min(found)] if found else None
        for ready in wait(list(busy)):
            assert isinstance(ready, Connection)  # noqa: S101 - what was asked for
            done = busy.pop(ready)
            violation = _answer(ready)
            idle.append(ready)
            if violation is None:
                tell(plan.jobs[done].part.rows)
            else:
                found[done] = violation
                waiting = deque(index for index in waiting if index < done)


def _order(plan: Plan) -> deque[int]:
    """Within a stage first what cannot be divided: begun last, it would be waited for alone."""
    jobs = plan.jobs
    return deque(
        sorted(range(len(jobs)), key=lambda at: (jobs[at].stage, jobs[at].part.rows > 0, at))
    )


def _may(plan: Plan, following: int, busy: dict[Connection, int]) -> bool:
    """Whether nothing of an earlier stage is still being checked."""
    stage = plan.jobs[following].stage
    return all(plan.jobs[index].stage == stage for index in busy.values())


def _answer(connection: Connection) -> Violation | None:
    try:
        said: tuple[int, str, str] | None = connection.recv()
    except EOFError as error:
        raise Ended("a process ended before it had checked its part; its error is above") from error
    if said is None:
        return None
    number, sentence, where = said
    return Invariant(number, sentence).broken(where)


def _child(database: Database, plan: Plan, connection: Connection, parents: Connection) -> None:
    parents.close()  # so that the parent's end is an end
    while True:
        try:
            job = plan.jobs[connection.recv()]
        except EOFError:
            return
        found = _run(database, job, lambda rows: None)
        said = found and (found.check.number, found.check.sentence, found.where)
        connection.send(said)
