"""`flask ledger keys`, `rotate-key`, `retire-key`, `recover` and `adopt`, as an operator sees them,
and what the site says when it does not start."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest
from click.testing import Result
from flask import Flask

from commands import (  # noqa: F401 - the last two add to ledger.group
    ledger,
    log_keys,
    recovery,
    starting,
)
from database import Database
from domain.ledger import recovery as rules
from domain.ledger import tree
from domain.ledger.append import append_anonymous
from domain.ledger.checkpoints import Checkpoint
from domain.ledger.notes import KeyType, Note, SignerKey, VerifierKey
from domain.ledger.sequencer import Sequencer
from settings import ROOT, Settings

EXPIRED = {"purpose": "marketing", "purpose_version": 1}
FIRST = SignerKey("samtykke.test/consent", KeyType.LOG, bytes(range(64, 96)))
SECOND = SignerKey("samtykke.test/consent", KeyType.LOG, bytes(range(96, 128)))


class Operator:
    """Runs commands, each as a process of its own that reads the settings anew."""

    def __init__(self, settings: Settings, database: Database, at: datetime):
        self.settings = settings
        self.database = database
        self.at = at

    def signers(self) -> tuple[SignerKey, ...]:
        """Those in the file, or in the environment."""
        path = self.settings.log_key_file
        if path is None:
            return self.settings.log.signers
        return tuple(SignerKey.parse(line) for line in path.read_text().split())

    def started(self) -> tuple[Settings, Database]:
        """What a process has that starts now."""
        log = replace(self.settings.log, signers=self.signers())
        self.database.info["log"] = log
        return replace(self.settings, log=log), self.database

    def run(self, *arguments: str, typed: str = "") -> Result:
        """Run `flask ledger …`."""
        app = Flask("bare")
        app.extensions["settings"], app.extensions["database"] = self.started()
        app.cli.add_command(ledger.group)
        return app.test_cli_runner().invoke(args=["ledger", *arguments], input=typed)

    def publish(self) -> bytes:
        """Append one, and let a worker that starts now publish; the newest note."""
        _, database = self.started()
        with database.transaction() as session:
            append_anonymous(session, "consent.expired", EXPIRED, at=self.at)
        sequencer = Sequencer(database, lambda: self.at)
        try:
            sequencer.run_once()
        finally:
            sequencer.give_back()
        with database.reading() as session:
            newest = tree.published(session)
            assert newest is not None
            return newest.note

    def check(self) -> None:
        """What serving and working asks before it starts."""
        _, database = self.started()
        with database.reading() as session:
            starting.check_log(session)

    def lose(self) -> Checkpoint:
        """As after an older copy of the database was restored."""
        lost = Checkpoint(FIRST.name, 9, bytes(range(32)))
        self.settings.log.high_water.write_bytes(lost.signed([FIRST]))
        return lost


@pytest.fixture
def operator(settings: Settings, database: Database, instance: Path, NOON: datetime) -> Operator:
    """With the keys in a file."""
    path = instance / "log-keys"
    path.write_text(FIRST.encode() + "\n")
    path.chmod(0o600)
    return Operator(replace(settings, log_key_file=path), database, NOON)


@pytest.fixture
def container(settings: Settings, database: Database, NOON: datetime) -> Operator:
    """With the keys in the environment."""
    return Operator(settings, database, NOON)


def keys_of(note: bytes, signers: tuple[SignerKey, ...]) -> list[VerifierKey]:
    verifiers = [signer.verifier for signer in signers]
    found = {signed.key for signed in Note.parse(note).verified(verifiers)}
    return [key for key in verifiers if key in found]


def test_a_key_is_rotated_and_the_old_one_retired(operator: Operator) -> None:
    """The whole of it: a new key in the file, both sign, then the new one alone."""
    assert keys_of(operator.publish(), operator.signers()) == [FIRST.verifier]
    rotated = operator.run("rotate-key")
    assert rotated.exit_code == 0, rotated.output
    old, new = operator.signers()
    assert old == FIRST
    assert str(new.verifier) in rotated.output
    assert "restart the worker" in rotated.output
    assert keys_of(operator.publish(), (old, new)) == [old.verifier, new.verifier]
    retired = operator.run("retire-key", old.verifier.id.hex())
    assert (retired.exit_code, "Restart it now" in retired.output) == (0, False), retired.output
    assert keys_of(operator.publish(), (old, new)) == [new.verifier]
    listed = operator.run("keys").output
    assert f"{old.verifier}\n  signs from 1 to 3; retired" in listed
    assert f"{new.verifier}\n  signs from 2; in force, its private key is here" in listed
    operator.check()


def test_no_third_key_is_made_where_rotating_was_killed(operator: Operator) -> None:
    """The second stands in the file and was never registered: it is taken up."""
    operator.publish()
    path = operator.settings.log_key_file
    assert path is not None
    path.write_text(f"{FIRST.encode()}\n{SECOND.encode()}\n")
    rotated = operator.run("rotate-key")
    assert "A new key was added" not in rotated.output
    assert str(SECOND.verifier) in rotated.output
    assert operator.signers() == (FIRST, SECOND)


def test_a_key_in_the_environment_is_the_operators_to_add(container: Operator) -> None:
    """The message says how to make one, and the command takes it when it is there."""
    container.publish()
    refused = container.run("rotate-key")
    assert refused.exit_code == 1
    assert "python -m commands.log_key samtykke.test/consent" in refused.output
    log = replace(container.settings.log, signers=(*container.signers(), SECOND))
    container.settings = replace(container.settings, log=log)
    assert container.run("rotate-key").exit_code == 0


def test_nothing_is_rotated_before_the_first_entry(operator: Operator) -> None:
    """There is no key yet that another could follow, so none is made."""
    refused = operator.run("rotate-key")
    assert (refused.exit_code, "has no key yet" in refused.output) == (1, True)
    assert operator.signers() == (FIRST,)
    assert "its first entry registers" in operator.run("keys").output


def test_the_last_key_is_not_retired(operator: Operator) -> None:
    """Nothing could be published after it."""
    operator.publish()
    refused = operator.run("retire-key", str(FIRST.verifier))
    assert (refused.exit_code, "rotate first" in refused.output) == (1, True)
    unknown = operator.run("retire-key", "00000000")
    assert (unknown.exit_code, "flask ledger keys" in unknown.output) == (1, True)


def test_retiring_says_when_the_worker_is_to_be_restarted(operator: Operator) -> None:
    """It has not signed with the new key yet."""
    operator.publish()
    operator.run("rotate-key")
    retired = operator.run("retire-key", str(FIRST.verifier))
    assert (retired.exit_code, "Restart it now" in retired.output) == (0, True)


def test_a_lost_checkpoint_is_recovered_from(operator: Operator) -> None:
    """The site says what it found and refuses; the operator types the new name; it goes on."""
    operator.publish()
    lost = operator.lose()
    with pytest.raises(starting.NotReady) as refused:
        operator.check()
    for words in ("9 entries", "1 entries", "older", "flask ledger recover", "AAECAwQFBgcI"):
        assert words in str(refused.value)
    assert "flask ledger recover" in operator.run("rotate-key").output
    done = operator.run("recover", typed="samtykke.test/consent/2\n")
    assert done.exit_code == 0, done.output
    assert [signer.name for signer in operator.signers()] == [FIRST.name, f"{FIRST.name}/2"]
    operator.check()
    note = operator.publish()
    assert note.startswith(b"samtykke.test/consent/2\n3\n")
    kept = operator.settings.log.high_water.with_name("high-water.lost-9")
    assert kept.read_bytes() == lost.signed([FIRST])
    again = operator.run("recover", "--yes")
    assert (again.exit_code, "nothing to recover" in again.output) == (1, True)


def test_recovering_is_never_done_by_the_way(operator: Operator) -> None:
    """Another word than the new name, and nothing happens; nor for a name that no log can have."""
    operator.publish()
    operator.lose()
    before = operator.settings.log.high_water.read_bytes()
    for arguments, typed in (([], "yes\n"), ([], ""), (["--origin", "Log"], "Log\n")):
        refused = operator.run("recover", *arguments, typed=typed)
        assert refused.exit_code == 1, refused.output
    assert operator.signers() == (FIRST,)
    assert operator.settings.log.high_water.read_bytes() == before


@pytest.mark.parametrize("where", ["file", "database"])
def test_a_recovery_that_was_killed_is_finished(
    operator: Operator, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """After the key file, or after the database: the same command, the same name, one new key."""

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    operator.publish()
    operator.lose()
    with monkeypatch.context() as patched:
        if where == "file":
            patched.setattr(recovery, "extend", killed)
        else:
            patched.setattr(rules, "begin_file", killed)
        assert operator.run("recover", "--yes").exit_code == 1
    with pytest.raises(starting.NotReady):
        operator.check()
    done = operator.run("recover", "--yes")
    assert done.exit_code == 0, done.output
    assert len(operator.signers()) == 2
    operator.check()
    assert operator.publish().startswith(b"samtykke.test/consent/2\n3\n")


def test_with_keys_in_the_environment_the_new_one_is_added_first(container: Operator) -> None:
    """The message names it; nothing is changed before it is there."""
    container.publish()
    container.lose()
    refused = container.run("recover", "--yes")
    assert refused.exit_code == 1
    assert "python -m commands.log_key samtykke.test/consent/2" in refused.output
    new = SignerKey.make("samtykke.test/consent/2")
    log = replace(container.settings.log, signers=(*container.signers(), new))
    container.settings = replace(container.settings, log=log)
    assert container.run("recover", "--yes").exit_code == 0
    container.check()


def test_a_missing_file_is_adopted(operator: Operator, tmp_path: Path) -> None:
    """The site moved to another machine, without it."""
    note = operator.publish()
    path = operator.settings.log.high_water
    path.unlink()
    with pytest.raises(starting.NotReady, match="flask ledger adopt"):
        operator.check()
    saved = tmp_path / "checkpoint"
    saved.write_bytes(note)
    done = operator.run("adopt", str(saved))
    assert (done.exit_code, path.read_bytes()) == (0, note), done.output
    operator.check()
    path.unlink()
    done = operator.run("adopt")
    assert (done.exit_code, "is no older copy" in done.output) == (0, True), done.output


def test_a_key_in_force_is_asked_for(operator: Operator) -> None:
    """A site whose key was swapped would publish nothing: it does not start, and says why."""
    operator.publish()
    path = operator.settings.log_key_file
    assert path is not None
    path.write_text(SECOND.encode() + "\n")
    with pytest.raises(starting.NotReady, match="flask ledger rotate-key") as refused:
        operator.check()
    assert str(FIRST.verifier) in str(refused.value)
    assert FIRST.encode() not in str(refused.value)
    assert operator.run("rotate-key").exit_code == 0
    operator.check()
    assert keys_of(operator.publish(), (FIRST, SECOND)) == [SECOND.verifier]


def test_a_site_that_never_published_starts(operator: Operator) -> None:
    """Nothing was signed, so nothing can be behind."""
    operator.check()


def test_the_whole_check_asks_for_the_log(
    app: Flask, database: Database, settings: Settings, clock: object
) -> None:
    """In development too."""
    starting.check(app)
    lost = Checkpoint(FIRST.name, 9, bytes(range(32)))
    settings.log.high_water.write_bytes(lost.signed(settings.log.signers))
    with pytest.raises(starting.NotReady, match="flask ledger recover"):
        starting.check(app)


def test_a_key_for_production_is_made_without_any_settings() -> None:
    """The private key on one stream, the public one on the other; a bad name gets none."""
    command = [sys.executable, "-m", "commands.log_key"]
    run: Callable[..., subprocess.CompletedProcess[str]] = subprocess.run
    made = run([*command, "a.example/log"], cwd=ROOT, env={}, capture_output=True, text=True)
    signer = SignerKey.parse(made.stdout.strip())
    assert made.stderr == f"Its verifier key: {signer.verifier}\n"
    assert signer.name == "a.example/log"
    refused = run([*command, "A log"], cwd=ROOT, env={}, capture_output=True, text=True)
    assert (refused.returncode, refused.stdout) == (1, "")
