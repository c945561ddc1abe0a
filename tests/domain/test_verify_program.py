"""`python -m domain.ledger.verify`: plain sentences, one exit status, and no database."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import pytest

from domain.ledger import verify
from domain.ledger.notes import KeyType, SignerKey
from domain.ledger.receipts import MAX_BYTES
from settings import ROOT
from tests.support.receipts import LOG, OTHER_KEY, SHOWN, WITNESS, given, prove, receipt

KEY = ("--key", str(LOG.verifier))
UNKNOWN = ("--key", str(OTHER_KEY.verifier))
Output = pytest.CaptureFixture[str]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A receipt, as it was downloaded."""
    path = tmp_path / "receipt.json"
    path.write_bytes(receipt(witnesses=[WITNESS]).encode())
    return path


def _run(*arguments: str | Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """In an interpreter of its own, with nothing on the way but the project."""
    program = (
        "import runpy, sys\n"
        "try:\n    runpy.run_module('domain.ledger.verify', run_name='__main__')\n"
        "finally:\n    print(*sys.modules, file=open('modules', 'w'))"
    )
    return subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)],
        cwd=folder,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_receipt_is_verified_without_database_and_web_server(file: Path) -> None:
    """What somebody runs on their own machine, years later."""
    done = _run(file.name, *KEY, folder=file.parent)
    assert (done.returncode, done.stderr) == (0, "")
    assert "receipt.json: verified." in done.stdout
    loaded = {name.split(".")[0] for name in (file.parent / "modules").read_text().split()}
    assert not loaded & {"sqlalchemy", "flask", "werkzeug", "jinja2", "database", "structlog"}


def test_it_says_what_was_verified(file: Path, capsys: Output) -> None:
    """What was decided, when by whose clock, where it stands, who signed and who saw."""
    assert verify.main([str(file), *KEY, "--witness", str(WITNESS.verifier)]) == 0
    said = capsys.readouterr().out
    for words in (
        "consent.given (expires_at 2028-11-22T12:00:00.000Z",
        "purpose marketing",
        "The server's clock said 2026-11-22T12:00:00.000Z; that is a claim",
        "number 3 of the 7 entries in the log samtykke.test/consent (position 2",
        f"Signed by the log with {LOG.verifier}.",
        "Seen by the witness vitne.test at 2026-11-22T12:00:00.000Z.",
        "What was shown is in it",
    ):
        assert words in said


def test_a_witness_that_is_missing_is_named(tmp_path: Path, capsys: Output) -> None:
    """It spoils nothing: the log signed. But who asked for it is told."""
    path = tmp_path / "alone.json"
    path.write_bytes(receipt().encode())
    assert verify.main([str(path), *KEY, "--witness", str(WITNESS.verifier)]) == 0
    assert "Not signed by the witness vitne.test." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (b"marketing", b"analytics", "the proof does not lead from this entry"),
        (b"Valgene", b"Valgets", "what was shown is not what the entry names"),
        (b"index 2", b"index 3", "the proof does not lead from this entry"),
        (b"\\n7\\n", b"\\n8\\n", "its checkpoint was changed"),
        (b"tlog-proof@v1", b"tlog-proof@v2", "its proof is not a proof"),
        (b'"v":1}', b'"v":2}', "this is not a receipt: an unknown version"),
        (b"samtykke.test", b"samtykki.test", "not signed with a key that you gave"),
    ],
)
def test_what_is_wrong_is_said_on_stderr(
    file: Path, capsys: Output, old: bytes, new: bytes, reason: str
) -> None:
    """And the exit status is 1."""
    content = file.read_bytes()
    assert old in content
    file.write_bytes(content.replace(old, new, 1))
    assert verify.main([str(file), *KEY]) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert f"{file}: NOT verified: " in told.err
    assert reason in told.err


def test_a_key_in_the_file_is_not_trusted(file: Path, capsys: Output) -> None:
    """The log's line is in it, and the key that verifies it is not the one that was given."""
    assert verify.main([str(file), *UNKNOWN]) == 1
    assert "not signed with a key that you gave" in capsys.readouterr().err
    assert verify.main([str(file), *UNKNOWN, *KEY]) == 0


def test_a_retired_key_counts_up_to_its_size(file: Path, capsys: Output) -> None:
    """Whoever stole it since signs larger logs in vain; each key has its own end."""
    assert verify.main([str(file), *KEY, "--until", "7"]) == 0
    assert verify.main([str(file), *KEY, "--until", "6"]) == 1
    assert "with a key that you gave for its size" in capsys.readouterr().err
    assert verify.main([str(file), *UNKNOWN, "--until", "6", *KEY]) == 0
    assert verify.main([str(file), *KEY, "--until", "6", *UNKNOWN]) == 1


@pytest.mark.parametrize("odd", ["\u009b", "\u202e", "\u2066", "\x7f"])
def test_names_in_a_file_do_not_reach_the_terminal(
    tmp_path: Path, capsys: Output, odd: str
) -> None:
    """A log may call itself what it likes; what would move the cursor, or turn a line round, is
    written as its number."""
    signer = SignerKey(f"a.test/{odd}log", KeyType.LOG, bytes(32))
    path = tmp_path / "one.json"
    path.write_bytes(receipt(signers=[signer]).encode())
    assert verify.main([str(path), "--key", str(signer.verifier)]) == 0
    assert verify.main([str(path), *KEY]) == 1
    told = capsys.readouterr()
    assert odd not in told.out + told.err
    assert ascii(odd)[1:-1] in told.out


def test_many_receipts_have_one_status(tmp_path: Path, capsys: Output) -> None:
    """A folder with one that is wrong is wrong; what lies beside the receipts is passed over."""
    for index in range(4):
        (tmp_path / f"{index}.json").write_bytes(receipt(4, index).encode())
    for other in ("0.kantara.json", "0.27560.json", "0.entry.json", "notes.txt"):
        (tmp_path / other).write_text("{}")
    assert verify.main([str(tmp_path), *KEY, "--quiet"]) == 0
    assert "4 of 4 receipts are right." in capsys.readouterr().out
    (tmp_path / "1.json").write_bytes(receipt(4, 1, [OTHER_KEY]).encode())
    assert verify.main([str(tmp_path), *KEY]) == 1
    told = capsys.readouterr()
    assert "3 of 4 receipts are right." in told.out
    assert f"{tmp_path / '1.json'}: NOT verified" in told.err


def test_standard_input_is_read(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: Output
) -> None:
    """`curl … | python -m domain.ledger.verify - --key …`"""
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(file.read_bytes())))
    assert verify.main(["-", *KEY]) == 0
    assert "-: verified." in capsys.readouterr().out


def test_a_proof_file_is_verified_with_its_entry(tmp_path: Path, capsys: Output) -> None:
    """A .tlog-proof holds no entry: that comes beside it."""
    entries = [given(number) for number in range(3)]
    proof, entry = tmp_path / "one.tlog-proof", tmp_path / "one.entry.json"
    proof.write_bytes(prove(entries, 1).encode())
    entry.write_bytes(entries[1])
    assert verify.main([str(proof), *KEY, "--entry", str(entry)]) == 0
    assert "number 2 of the 3 entries" in capsys.readouterr().out
    entry.write_bytes(entries[2])
    assert verify.main([str(proof), *KEY, "--entry", str(entry)]) == 1
    assert verify.main([str(proof), *KEY]) == 1
    assert "this is not a receipt" in capsys.readouterr().err


def test_a_file_that_is_far_too_long_is_not_read_to_its_end(tmp_path: Path) -> None:
    """Nor is it a receipt."""
    path = tmp_path / "long.json"
    path.write_bytes(SHOWN + b" " * MAX_BYTES)
    assert verify.main([str(path), *KEY]) == 1


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        [*KEY],
        ["{file}"],
        ["{file}", "--key", "no key"],
        ["{file}", "--key", str(LOG.verifier)[:-4]],
        ["{file}", "--key", str(WITNESS.verifier)],
        ["{file}", *KEY, "--witness", str(LOG.verifier)],
        ["{file}", *KEY, "--loud"],
        ["{file}", "--until", "7", *KEY],
        ["{file}", *KEY, "--until", "7", "--until", "8"],
        ["{file}", *KEY, "--until", "all"],
        ["nowhere.json", *KEY],
        ["{folder}/empty", *KEY],
        ["{file}", "{file}", *KEY, "--entry", "{file}"],
        ["{file}", *KEY, "--entry", "nowhere.json"],
    ],
    ids=lambda arguments: " ".join(arguments)[:40],
)
def test_bad_usage_is_another_status(file: Path, arguments: list[str], capsys: Output) -> None:
    """2: nothing was said about any receipt."""
    (file.parent / "empty").mkdir()
    given = [one.format(file=file, folder=file.parent) for one in arguments]
    try:
        status: object = verify.main(given)
    except SystemExit as stopped:
        status = stopped.code
    assert status == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert "usage: python -m domain.ledger.verify" in told.err
