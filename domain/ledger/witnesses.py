"""Asking witnesses to cosign a checkpoint (C2SP tlog-witness, the client's side).

A checkpoint is valid without any of them, so nothing here may hold a publication up for long:
they are asked all at once, within one bound, and one that fails is left alone for a while.
"""

from __future__ import annotations

import http.client
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Protocol

import structlog

from domain.ledger.asking import submit
from domain.ledger.errors import LedgerError, WitnessConflict
from domain.ledger.log import Witness
from domain.ledger.notes import Signed, VerifierKey
from domain.ledger.submissions import Submission

TIMEOUT = 1.0
# A witness that failed is left alone this long at first, twice as long each time, to the last.
RESTS = (30.0, 3600.0)

log = structlog.get_logger()


class Ask(Protocol):
    """What a sequencer calls before it publishes: `ask`, an `Asking`, or a test's own."""

    def __call__(
        self,
        witnesses: Sequence[Witness],
        note: bytes,
        size: int,
        proof_for: Callable[[int], list[bytes]],
        last_seen: Mapping[VerifierKey, int],
        timeout: float = TIMEOUT,
    ) -> list[Signed]:
        """The cosignatures that came in time, each verified; none at all is no error.

        `note` is the checkpoint signed by the log, `size` its size. `proof_for(old)` gives the
        consistency proof from `old` to it (0 < old < size), and is called from the caller's own
        thread only, so it may read from the caller's session. `last_seen` is the size of the
        newest checkpoint that each witness is known to have signed; a witness that is not in it
        is asked as if it had seen none, and says so if it has.
        """
        ...


@dataclass(frozen=True)
class _Rest:
    """A witness that failed so many times in a row is left alone until then."""

    failures: int
    until: float


@dataclass
class _Round:
    """One checkpoint, shown to all."""

    note: bytes
    size: int
    proof_for: Callable[[int], list[bytes]]
    deadline: float
    clock: Callable[[], datetime]
    answers: SimpleQueue[tuple[Witness, Signed | Exception]]

    def send(self, witness: Witness, old: int) -> None:
        """Show it to one witness, in a thread of its own."""
        proof = self.proof_for(old) if 0 < old < self.size else []
        submission = Submission(old, tuple(proof), self.note)
        # Daemons: looking up a name has no time limit, and must not keep the program alive.
        Thread(target=self._submit, args=(witness, submission), name="witness", daemon=True).start()

    def answer(self) -> tuple[Witness, Signed | Exception]:
        """The next that answers. Raises Empty when the time is over."""
        return self.answers.get(timeout=max(0.0, self.deadline - time.monotonic()))

    def _submit(self, witness: Witness, submission: Submission) -> None:
        answer: Signed | Exception
        try:
            answer = submit(witness, submission, deadline=self.deadline, clock=self.clock)
        except (LedgerError, OSError, http.client.HTTPException, ValueError) as error:
            answer = error
        self.answers.put((witness, answer))


class Asking:
    """Asks witnesses, and remembers which of them failed. One for each process, kept."""

    def __init__(
        self, clock: Callable[[], datetime], monotonic: Callable[[], float] = time.monotonic
    ):
        self._clock = clock
        self._monotonic = monotonic
        self._rests: dict[VerifierKey, _Rest] = {}

    def __call__(
        self,
        witnesses: Sequence[Witness],
        note: bytes,
        size: int,
        proof_for: Callable[[int], list[bytes]],
        last_seen: Mapping[VerifierKey, int],
        timeout: float = TIMEOUT,
    ) -> list[Signed]:
        """As Ask says."""
        deadline = time.monotonic() + timeout
        asked = _Round(note, size, proof_for, deadline, self._clock, SimpleQueue())
        waiting: dict[VerifierKey, Witness] = {}
        for witness in witnesses:
            if self._awake(witness):
                waiting[witness.key] = witness
                # Smaller than what it signed we never show: it would say so, as it says here.
                asked.send(witness, min(last_seen.get(witness.key, 0), size))
        found = self._collect(asked, waiting)
        for witness in waiting.values():
            self._failed(witness, TimeoutError("no answer in time"))
        return found

    def _collect(self, asked: _Round, waiting: dict[VerifierKey, Witness]) -> list[Signed]:
        found: list[Signed] = []
        retried: set[VerifierKey] = set()
        while waiting:
            try:
                witness, answer = asked.answer()
            except Empty:
                break
            if isinstance(answer, WitnessConflict) and witness.key not in retried:
                if answer.size <= asked.size:  # from a larger one there is no proof
                    retried.add(witness.key)
                    asked.send(witness, answer.size)
                    continue
            del waiting[witness.key]
            if isinstance(answer, Signed):
                self._rests.pop(witness.key, None)
                found.append(answer)
            else:
                self._failed(witness, answer)
        return found

    def _awake(self, witness: Witness) -> bool:
        rest = self._rests.get(witness.key)
        return rest is None or rest.until <= self._monotonic()

    def _failed(self, witness: Witness, error: Exception) -> None:
        before = self._rests.get(witness.key)
        failures = before.failures + 1 if before else 1
        seconds = min(RESTS[0] * 2 ** min(failures - 1, 20), RESTS[1])
        self._rests[witness.key] = _Rest(failures, self._monotonic() + seconds)
        log.warning(
            "witness_failed",
            witness=witness.key.name,
            reason=f"{type(error).__name__}: {error}",
            seconds=seconds,
        )


# The one of this process.
ask: Ask = Asking(lambda: datetime.now(UTC))
