"""A witness for others: its statuses, its memory, and what it never signs."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from domain.ledger import files
from domain.ledger.errors import (
    ForgetfulWitness,
    MalformedKey,
    MalformedSubmission,
    WitnessConflict,
)
from domain.ledger.log import Witness
from domain.ledger.merkle import EMPTY_ROOT
from domain.ledger.notes import KeyType, Note, SignerKey, VerifierKey
from domain.ledger.submissions import MAX_BYTES, Submission
from domain.ledger.witness import Cosigner, open_key
from settings import ROOT
from tests.support import NOON
from tests.support.live import free_port
from tests.support.witnessing import LOG, WITNESS, Growing, post, until, witness

TREE = Growing()
FORK = Growing(word="other")
SECOND = SignerKey(LOG.name, KeyType.LOG, bytes(range(32)))
STRANGER = SignerKey("stranger.test/log", KeyType.LOG, LOG.seed)


def submitted(one: Witness, submission: Submission) -> tuple[int, bytes]:
    """Status and body."""
    status, _, body = post(one, submission.encode())
    return status, body


def signed_by_witness(body: bytes, size: int, tree: Growing = TREE) -> bool:
    """Whether this is its signature of the checkpoint."""
    note = Note.parse(Note.parse(tree.note(size)).text + b"\n" + body)
    return [signed.seen for signed in note.verified([WITNESS.verifier])] == [int(NOON.timestamp())]


def test_it_signs_each_next_checkpoint(tmp_path: Path) -> None:
    """The first from nothing, the next with a proof, and the last once more when asked again."""
    with witness(tmp_path / "w") as one:
        for old, new in ((0, 1), (1, 64), (64, 64), (64, 130)):
            status, body = submitted(one, TREE.submission(old, new))
            assert status == 200
            assert signed_by_witness(body, new)


def test_a_restart_forgets_nothing(tmp_path: Path) -> None:
    """What it signed stands in its file."""
    with witness(tmp_path / "w") as one:
        submitted(one, TREE.submission(0, 64))
    with witness(tmp_path / "w") as one:
        assert submitted(one, FORK.submission(0, 64)) == (409, b"64\n")
        assert submitted(one, TREE.submission(64, 65))[0] == 200


@pytest.mark.parametrize(("old", "new"), [(0, 9), (3, 9), (8, 9), (0, 7), (0, 3), (3, 3)])
def test_another_old_size_is_a_conflict(tmp_path: Path, old: int, new: int) -> None:
    """409, with the size that was signed last, as text/x.tlog.size: never an older one again."""
    with witness(tmp_path / "w") as one:
        submitted(one, TREE.submission(0, 7))
        answer = post(one, TREE.submission(old, new).encode())
        assert answer == (409, "text/x.tlog.size", b"7\n")


def test_another_root_of_the_same_size_is_a_conflict(tmp_path: Path) -> None:
    """The plainest fork there is."""
    with witness(tmp_path / "w") as one:
        submitted(one, TREE.submission(0, 7))
        assert submitted(one, FORK.submission(7, 7)) == (409, b"7\n")


@pytest.mark.parametrize(
    "submission",
    [
        FORK.submission(7, 9),
        replace(TREE.submission(7, 9), proof=()),
        replace(TREE.submission(7, 9), proof=(bytes(32),) * 63),
        replace(TREE.submission(7, 9), proof=TREE.submission(6, 9).proof),
        replace(TREE.submission(7, 7), proof=(bytes(32),)),
    ],
    ids=["fork", "none", "long", "other", "superfluous"],
)
def test_a_proof_that_proves_nothing_is_refused(tmp_path: Path, submission: Submission) -> None:
    """422, and what was signed stays what it was."""
    with witness(tmp_path / "w") as one:
        submitted(one, TREE.submission(0, 7))
        before = (tmp_path / "w" / "state").read_bytes()
        assert submitted(one, submission)[0] == 422
        assert (tmp_path / "w" / "state").read_bytes() == before


def test_from_nothing_there_is_no_proof(tmp_path: Path) -> None:
    """The proof must be empty then."""
    with witness(tmp_path / "w") as one:
        assert submitted(one, replace(TREE.submission(0, 7), proof=(bytes(32),)))[0] == 422


def test_what_the_log_did_not_sign_is_forbidden(tmp_path: Path) -> None:
    """403: another's key under the log's name, and a signature that is not right."""
    forged = Growing(signers=[SECOND]).submission(0, 7)
    note = TREE.note(7)
    spoilt = note[:-8] + (b"AAAA" if note[-8:-4] != b"AAAA" else b"BBBB") + note[-4:]
    with witness(tmp_path / "w") as one:
        assert submitted(one, forged)[0] == 403
        assert submitted(one, Submission(0, (), spoilt))[0] == 403


def test_a_log_may_have_several_keys(tmp_path: Path) -> None:
    """While it changes its key, each of them will do, and both do."""
    with witness(tmp_path / "w", [LOG.verifier, SECOND.verifier]) as one:
        for old, new, signers in ((0, 5, [LOG]), (5, 6, [LOG, SECOND]), (6, 7, [SECOND])):
            assert submitted(one, Growing(signers=signers).submission(old, new))[0] == 200


def test_an_unknown_log_is_not_found(tmp_path: Path) -> None:
    """404, whoever signed."""
    with witness(tmp_path / "w", [STRANGER.verifier]) as one:
        assert submitted(one, TREE.submission(0, 7))[0] == 404


def test_backwards_is_a_bad_request(tmp_path: Path) -> None:
    """400: an old size above the new one."""
    with witness(tmp_path / "w") as one:
        assert submitted(one, replace(TREE.submission(0, 7), old=8))[0] == 400


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"old 0\n\n",
        b"old 0\n" + TREE.note(7),
        b"old 00\n\n" + TREE.note(7),
        b"old -1\n\n" + TREE.note(7),
        b"old  1\n\n" + TREE.note(7),
        b"old 1\r\n\n" + TREE.note(7),
        b"OLD 1\n\n" + TREE.note(7),
        b"old \xd9\xa1\n\n" + TREE.note(7),
        b"old 1\nAAAA\n\n" + TREE.note(7),
        b"old 1\n!\n\n" + TREE.note(7),
        Submission(1, (bytes(32),) * 64, TREE.note(7)).encode(),
        b"old 0\n\n" + TREE.note(7)[:-1],
        b"old 0\n\n" + TREE.note(7).replace(b"\n7\n", b"\n07\n"),
        b"old 0\n\nx\x00" + TREE.note(7),
    ],
)
def test_what_is_no_submission_is_a_bad_request(tmp_path: Path, body: bytes) -> None:
    """400, whatever else is wrong with it."""
    with witness(tmp_path / "w") as one:
        assert post(one, body)[0] == 400


def test_a_submission_is_read_as_it_was_written() -> None:
    """The specification's own example has this form."""
    submission = TREE.submission(5, 130)
    assert Submission.parse(submission.encode()) == submission
    assert submission.encode().startswith(b"old 5\n")
    with pytest.raises(MalformedSubmission):
        Submission.parse(b"old 1\n\n" + b"x" * MAX_BYTES)


def test_a_body_without_an_end_is_not_read(tmp_path: Path) -> None:
    """The server itself refuses what is longer than any submission."""
    with witness(tmp_path / "w") as one:
        assert post(one, b"old 1\n\n" + b"x" * (MAX_BYTES + 1))[0] == 400


def test_it_says_who_it_is_and_nothing_else(tmp_path: Path) -> None:
    """GET / names it and its key; there is one thing to post, and one address for it."""
    with witness(tmp_path / "w") as one:
        status, kind, body = post(one, b"", "/", "GET")
        assert (status, kind) == (200, "text/plain; charset=utf-8")
        assert str(WITNESS.verifier) in body.decode()
        assert post(one, b"", "/add-checkpoint", "GET")[0] == 405
        assert post(one, TREE.submission(0, 7).encode(), "/")[0] == 404
        assert post(one, b"", "/state", "GET")[0] == 404


def test_the_empty_tree_can_be_witnessed(tmp_path: Path) -> None:
    """Size 0, from size 0; it stands in nobody's way afterwards."""
    empty = replace(TREE, size=0)
    assert empty.root(0) == EMPTY_ROOT
    with witness(tmp_path / "w") as one:
        assert submitted(one, empty.submission(0, 0))[0] == 200
        assert submitted(one, TREE.submission(0, 7))[0] == 200


def test_what_is_shown_again_is_not_written_again(tmp_path: Path) -> None:
    """Nobody who repeats a checkpoint wears the disk out, or leaves lines of their own in it."""
    shown = TREE.submission(7, 7)
    stuffed = replace(shown, note=shown.note + STRANGER.sign(Note.parse(shown.note).text).encode())
    with witness(tmp_path / "w") as one:
        submitted(one, TREE.submission(0, 7))
        kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "w").iterdir()}
        assert submitted(one, stuffed)[0] == 200
        assert {path: path.stat().st_mtime_ns for path in (tmp_path / "w").iterdir()} == kept


def test_of_two_at_once_one_wins(tmp_path: Path) -> None:
    """Sixteen submissions from the same old size: one is signed, the others learn its size, and
    the file is what was signed."""
    with witness(tmp_path / "w") as one:
        submitted(one, TREE.submission(0, 7))
        answers: list[tuple[int, bytes]] = []
        threads = [
            threading.Thread(
                target=lambda n=n: answers.append(submitted(one, TREE.submission(7, n)))
            )
            for n in range(8, 24)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        statuses = sorted(status for status, _ in answers)
        assert statuses == [200] + [409] * 15
        [line] = [body for status, body in answers if status == 200]
        [size] = {int(body) for status, body in answers if status == 409}
        assert signed_by_witness(line, size)


def test_two_witnesses_with_one_file_do_not_overtake_each_other(tmp_path: Path) -> None:
    """As when it was started twice: the lock is on a file, so it holds among processes."""
    (tmp_path / "state").write_text(json.dumps({LOG.name: TREE.note(7).decode()}))
    won: list[int] = []

    def submit(size: int) -> None:
        cosigner = Cosigner(WITNESS, [LOG.verifier], tmp_path / "state", lambda: NOON)
        with suppress(WitnessConflict):
            cosigner.add_checkpoint(TREE.submission(7, size).encode())
            won.append(size)

    threads = [threading.Thread(target=submit, args=(size,)) for size in range(8, 24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    [winner] = won
    assert json.loads((tmp_path / "state").read_text())[LOG.name] == TREE.note(winner).decode()


class Killed(BaseException):
    """The process ended here."""


def test_killed_after_it_remembered_it_signs_when_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log never got the signature: it is told the size, and gets one for the same tree only."""

    def killed(self: SignerKey, text: bytes, *, seen: int | None = None) -> str:
        raise Killed

    state = tmp_path / "state"
    state.write_text("{}")
    dying = Cosigner(WITNESS, [LOG.verifier], state, lambda: NOON)
    with monkeypatch.context() as patched:
        patched.setattr(SignerKey, "sign", killed)
        with pytest.raises(Killed):
            dying.add_checkpoint(SUBMITTED)
    again = Cosigner(WITNESS, [LOG.verifier], state, lambda: NOON)
    with pytest.raises(WitnessConflict, match="of size 7"):
        again.add_checkpoint(SUBMITTED)
    assert signed_by_witness(again.add_checkpoint(SEVEN_AGAIN).encode(), 7)


SUBMITTED = TREE.submission(0, 7).encode()
SEVEN_AGAIN = TREE.submission(7, 7).encode()


def test_killed_before_it_remembered_nothing_was_signed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A draft is left behind, which nobody reads."""

    def killed(self: Path, target: Path) -> Path:
        raise Killed

    state = tmp_path / "state"
    state.write_text("{}")
    cosigner = Cosigner(WITNESS, [LOG.verifier], state, lambda: NOON)
    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", killed)
        with pytest.raises(Killed):
            cosigner.add_checkpoint(SUBMITTED)
    assert state.read_text() == "{}"
    assert signed_by_witness(cosigner.add_checkpoint(SUBMITTED).encode(), 7)


def test_its_first_run_makes_key_and_memory(tmp_path: Path) -> None:
    """Private, and the same at the next run."""
    paths = (tmp_path / "key", tmp_path / "state")
    with pytest.raises(MalformedKey):
        open_key(*paths, None)
    made = open_key(*paths, "witness.test/w")
    assert (made.name, made.type) == ("witness.test/w", KeyType.WITNESS)
    assert open_key(*paths, None) == made
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in paths)


def test_a_key_without_its_memory_signs_nothing(tmp_path: Path) -> None:
    """It could sign the opposite of what it signed: it does not start."""
    open_key(tmp_path / "key", tmp_path / "state", "witness.test/w")
    (tmp_path / "state").unlink()
    with pytest.raises(ForgetfulWitness):
        open_key(tmp_path / "key", tmp_path / "state", None)


def test_a_first_run_that_was_killed_is_begun_again(tmp_path: Path) -> None:
    """The memory stands before the key, so there is never a key that looks forgetful."""
    with files.locked(tmp_path / "state"):
        files.replace(tmp_path / "state", b"{}")
    assert open_key(tmp_path / "key", tmp_path / "state", "witness.test/w").name == "witness.test/w"


@pytest.mark.requirement(82)
def test_a_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    """And so is one of another type."""
    open_key(tmp_path / "key", tmp_path / "state", "witness.test/w")
    (tmp_path / "key").chmod(0o644)
    with pytest.raises(MalformedKey, match="chmod 600"):
        open_key(tmp_path / "key", tmp_path / "state", None)
    (tmp_path / "key").write_text(LOG.encode())
    (tmp_path / "key").chmod(0o600)
    with pytest.raises(MalformedKey, match="not of a witness"):
        open_key(tmp_path / "key", tmp_path / "state", None)


def test_another_company_needs_none_of_our_secrets(tmp_path: Path) -> None:
    """python -m commands.witness runs with an empty environment, and in its own folder."""
    with free_port() as free:
        listen = "{}:{}".format(*free.getsockname())
    command = [sys.executable, "-m", "commands.witness", "--listen", listen]
    command += ["--key-file", str(tmp_path / "key"), "--state-file", str(tmp_path / "state")]
    command += ["--log", str(LOG.verifier), "--name", "witness.test/w"]
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env={"PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            found = re.fullmatch(r"Witness: (\S+)\n", process.stdout.readline())
            assert found is not None
            one = Witness(f"http://{listen}", VerifierKey.parse(found[1]))
            assert until(lambda: _reachable(one), 20)
            status, body = submitted(one, TREE.submission(0, 7))
        finally:
            process.kill()
    assert status == 200
    assert Note.parse(Note.parse(TREE.note(7)).text + b"\n" + body).verified([one.key])
    assert open_key(tmp_path / "key", tmp_path / "state", None).verifier == one.key


def _reachable(one: Witness) -> bool:
    try:
        return post(one, b"", "/", "GET")[0] == 200
    except OSError:
        return False
