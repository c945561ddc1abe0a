"""Asking witnesses: what they sign is verified, and nothing they do keeps us from publishing."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import delete

from database import Database
from domain.ledger import checkpoints, publishing, tree
from domain.ledger.append import append_anonymous
from domain.ledger.log import Log, Witness
from domain.ledger.models import LedgerLease
from domain.ledger.notes import MAX_TIME, KeyType, Note, Signed, SignerKey, VerifierKey
from domain.ledger.sequencer import Sequencer
from domain.ledger.witnesses import Asking
from tests.support import NOON
from tests.support.witnessing import LOG, WITNESS, Growing, answering, witness

TREE = Growing()
OTHER = SignerKey("other.test/w", KeyType.WITNESS, bytes(range(128, 160)))
FULFILLED = {"kind": "access", "reference": "K7Q-2MX9"}
Show = Callable[..., list[Signed]]


class Clock:
    """A clock that stands still until told."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def monotonic() -> Clock:
    return Clock()


@pytest.fixture
def show(monotonic: Clock) -> Show:
    """Shows a checkpoint of a size to witnesses."""
    asking = Asking(lambda: NOON, monotonic)

    def show(
        size: int,
        *asked: Witness,
        seen: Mapping[VerifierKey, int] | None = None,
        tree: Growing = TREE,
        timeout: float = 5.0,
    ) -> list[Signed]:
        def proof(old: int) -> list[bytes]:
            assert 0 < old < size
            return tree.proof(old, size)

        return asking(asked, tree.note(size), size, proof, seen or {}, timeout)

    return show


def response(status: str, body: bytes, kind: str = "text/plain", headers: str = "") -> bytes:
    """An answer over HTTP."""
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n{headers}"
    return f"{head}\r\n".encode() + body


def cosigned(size: int, signer: SignerKey = WITNESS, at: float = NOON.timestamp()) -> bytes:
    """The line of a witness that is content with everything."""
    return signer.sign(Note.parse(TREE.note(size)).text, seen=int(at)).encode()


def test_a_witness_signs_as_the_log_grows(show: Show, tmp_path: Path) -> None:
    """From nothing, then with a proof; what it signed goes into the published note, and anybody
    finds log and witness in it."""
    with witness(tmp_path / "w") as one:
        first = show(5, one)
        second = show(9, one, seen={one.key: 5})
    assert [signed.seen for signed in first + second] == [int(NOON.timestamp())] * 2
    published = TREE.note(9) + second[0].line.encode()
    found = checkpoints.trusted(published, [LOG.verifier], [WITNESS.verifier])
    assert [signed.key for signed in found.witnesses] == [WITNESS.verifier]


@pytest.mark.parametrize("seen", [0, 3, 7, 9])
def test_a_witness_that_saw_something_else_last_is_asked_again(
    show: Show, tmp_path: Path, seen: int
) -> None:
    """It says the size it saw; the proof from there is made, once, in the same round: as after
    its answer was lost, or after the database forgot it."""
    with witness(tmp_path / "w") as one:
        show(7, one)
        assert len(show(9, one, seen={one.key: seen})) == 1


def test_a_witness_that_is_ahead_is_left_alone(show: Show, tmp_path: Path) -> None:
    """It signed more than we show: there is no proof backwards, and no second request."""
    with witness(tmp_path / "w") as one:
        assert len(show(9, one)) == 1
        assert show(7, one) == []


def test_a_fork_gets_no_signature(show: Show, tmp_path: Path) -> None:
    """Whoever shows a witness another tree under the same name is refused, at every size."""
    fork = Growing(word="other")
    with witness(tmp_path / "w") as one:
        show(7, one)
        assert show(9, one, tree=fork, seen={one.key: 7}) == []
    with witness(tmp_path / "w") as one:
        asking = Asking(lambda: NOON)
        assert asking([one], fork.note(7), 7, lambda old: [], {one.key: 7}, 5.0) == []


def test_no_witness_is_no_error(show: Show) -> None:
    """A checkpoint is valid without any."""
    assert show(5) == []


def test_one_witness_does_not_wait_for_another(show: Show, tmp_path: Path) -> None:
    """Asked at once, with one bound for all: the slow one costs the bound, and no more."""
    silent = Witness("http://127.0.0.1:9", OTHER.verifier)
    with ExitStack() as stack:
        good = stack.enter_context(witness(tmp_path / "w"))
        slow, _ = stack.enter_context(answering(b"HTTP/1.1 200 OK\r\n\r\n" * 50, pause=0.05))
        slow = Witness(slow.url, OTHER.verifier)
        began = time.monotonic()
        found = show(5, slow, good, silent, timeout=0.6)
        assert time.monotonic() - began < 3
    assert [signed.key for signed in found] == [good.key]


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"\x00\x01 garbage\r\n\r\n",
        response("200 OK", b""),
        response("200 OK", b"no signature\n"),
        response("200 OK", cosigned(6)),
        response("200 OK", cosigned(5, OTHER)),
        response("200 OK", cosigned(5, SignerKey(WITNESS.name, WITNESS.type, OTHER.seed))),
        response("200 OK", cosigned(5, at=(NOON + timedelta(days=2)).timestamp())),
        response("200 OK", cosigned(5, at=MAX_TIME)),
        response("200 OK", cosigned(5) * 65),
        response("200 OK", cosigned(5) + b"x" * 10**6),
        response("200 OK", b"\xff" * 100),
        response("201 Created", cosigned(5)),
        response("302 Found", cosigned(5), headers="Location: /elsewhere\r\n"),
        response("307 Temporary Redirect", cosigned(5), headers="Location: /add-checkpoint\r\n"),
        response("409 Conflict", b"five\n", "text/x.tlog.size"),
        response("409 Conflict", b"-1\n", "text/x.tlog.size"),
        response("409 Conflict", b"6\n", "text/x.tlog.size"),
        response("409 Conflict", b"9" * 19 + b"\n", "text/x.tlog.size"),
        response("422 Unprocessable Entity", cosigned(5)),
        response("500 Internal Server Error", b""),
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n" + cosigned(5),
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 10**6,
    ],
)
def test_what_is_no_signature_counts_as_none(show: Show, answer: bytes) -> None:
    """Garbage, redirects, others' keys, times that no calendar has: asked once, then left."""
    with answering(answer) as (one, requests):
        assert show(5, one) == []
        assert show(5, one) == []
    assert len(requests) == 1
    assert requests[0].startswith(b"POST /add-checkpoint HTTP/1.1\r\n")


def test_a_conflict_is_answered_once(show: Show) -> None:
    """A witness that always names another size does not keep us busy."""
    with answering(response("409 Conflict", b"3\n")) as (one, requests):
        assert show(5, one) == []
    assert [request.partition(b"\r\n\r\n")[2][:6] for request in requests] == [
        b"old 0\n",
        b"old 3\n",
    ]


def test_signatures_by_unknown_keys_are_passed_over(show: Show) -> None:
    """A witness may sign with several keys; the one that the operator named counts."""
    with answering(response("200 OK", cosigned(5, OTHER) + cosigned(5))) as (one, _):
        assert [signed.line for signed in show(5, one)] == [cosigned(5).decode()]


def test_an_answer_counts_when_it_is_complete(show: Show) -> None:
    """A server that keeps the connection open is not waited for."""
    with answering(response("200 OK", cosigned(5)), keep_open=True) as (one, _):
        began = time.monotonic()
        assert len(show(5, one, timeout=10)) == 1
        assert time.monotonic() - began < 5


def test_a_slow_drip_ends_at_the_bound(show: Show) -> None:
    """A byte now and then is no answer in time."""
    with answering(response("200 OK", cosigned(5)), pause=0.05) as (one, _):
        began = time.monotonic()
        assert show(5, one, timeout=0.3) == []
        assert time.monotonic() - began < 2


def test_a_witness_that_fails_rests_longer_each_time(show: Show, monotonic: Clock) -> None:
    """30 seconds, then 60, up to an hour; after a success it begins anew."""
    with answering(response("503 Service Unavailable", b"")) as (one, requests):
        for rest in (30, 60, 120, 240, 480, 960, 1920, 3600, 3600):
            show(5, one)
            asked = len(requests)
            monotonic.seconds += rest - 1
            show(5, one)
            assert len(requests) == asked
            monotonic.seconds += 1
        assert len(requests) == 9


def test_a_witness_that_came_back_is_asked_as_before(
    show: Show, monotonic: Clock, tmp_path: Path
) -> None:
    """A success makes its failures forgotten."""
    with answering(response("503 Service Unavailable", b"")) as (one, _):
        show(5, one)
        monotonic.seconds += 30
        show(5, one)
    monotonic.seconds += 60
    with witness(tmp_path / "w") as back:
        assert len(show(5, back)) == 1
    show(5, one)  # down again
    monotonic.seconds += 30
    with witness(tmp_path / "w") as back:
        assert len(show(7, back)) == 1


def test_publications_carry_what_witnesses_signed(
    database: Database, log: Log, tmp_path: Path, NOON: datetime
) -> None:
    """With one up and one down; and when the first is down too, publication goes on without,
    and it catches up from what it saw last."""
    down = Witness("http://127.0.0.1:9", OTHER.verifier)
    rest = Clock()
    ask = Asking(lambda: NOON, rest)

    def publish(*asked: Witness) -> bytes:
        database.info["log"] = replace(log, witnesses=asked)
        with database.transaction() as session:
            append_anonymous(session, "request.fulfilled", FULFILLED, at=NOON)
        Sequencer(database, lambda: NOON, ask).run_once()
        with database.transaction() as session:  # the next one is another process
            session.execute(delete(LedgerLease))
        with database.reading() as session:
            return publishing.note(session, tree.current(session).size)

    with witness(tmp_path / "w") as one:
        notes = [publish(one, down)]
    notes.append(publish(one, down))
    rest.seconds += 60
    with witness(tmp_path / "w") as one:
        notes.append(publish(one, down))
    keys = [WITNESS.verifier, OTHER.verifier]
    found = [checkpoints.trusted(note, [LOG.verifier], keys) for note in notes]
    assert [one.checkpoint.size for one in found] == [1, 2, 3]
    signed = [[signed.key for signed in one.witnesses] for one in found]
    assert signed == [[WITNESS.verifier], [], [WITNESS.verifier]]
