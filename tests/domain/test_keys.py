"""The envelope that everything is sealed in, and where its keys stand."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from domain import epochs
from domain.epochs import KeyFile, parse, parse_setting
from domain.keys import (
    Keyring,
    KeyServiceAway,
    MalformedKeys,
    SecretError,
    UnknownEpoch,
    WrongSeal,
)
from domain.kms import KmsKey

ONE, TWO = bytes(range(32)), bytes(range(100, 132))
FIRST, SECOND = (base64.b64encode(key).decode() for key in (ONE, TWO))
ARN = "arn:aws:kms:eu-north-1:123456789012:key/05f0f988-3aeb-4a84-bf39-48b3bd84b82b"
RING = Keyring({1: ONE, 2: TWO}, bytes(32), "s" * 40)
HERE, THERE = b"subject:0123456789abcdef", b"subject:fedcba9876543210"
PLAIN = b"Kari Nordmann"
SEALED = RING.seal(PLAIN, HERE)


@settings(deadline=None)
@given(st.integers(0, len(SEALED) - 1))
def test_a_truncated_value_is_a_clear_error(length: int) -> None:
    """Of any length, and empty: never a plaintext, never another error than ours."""
    with pytest.raises(WrongSeal if length < 1 or length > 1 else SecretError):
        RING.unseal(SEALED[:length], HERE)


@settings(deadline=None)
@given(st.integers(0, len(SEALED) * 8 - 1))
def test_one_bit_is_enough(bit: int) -> None:
    """In the epoch, the nonce, the text or its tag: the value does not open."""
    changed = bytearray(SEALED)
    changed[bit // 8] ^= 1 << bit % 8
    with pytest.raises((WrongSeal, UnknownEpoch)):
        RING.unseal(bytes(changed), HERE)


@settings(deadline=None)
@given(st.binary(max_size=80))
def test_what_was_never_sealed_does_not_open(junk: bytes) -> None:
    """Whatever lies in the column."""
    with pytest.raises((WrongSeal, UnknownEpoch)):
        RING.unseal(junk, HERE)


@pytest.mark.requirement(82)
@pytest.mark.parametrize(
    ("ring", "context", "error"),
    [
        (Keyring({2: ONE}, bytes(32), "s" * 40), HERE, WrongSeal),
        (Keyring({1: TWO}, bytes(32), "s" * 40), HERE, UnknownEpoch),
        (RING, THERE, WrongSeal),
        (RING, b"outbox:0123456789abcdef", WrongSeal),
    ],
    ids=["wrong key", "stale epoch", "another row", "another table"],
)
def test_a_value_opens_with_its_key_in_its_place_only(
    ring: Keyring, context: bytes, error: type[SecretError]
) -> None:
    """Anything else is an error that says which it is, and nothing of what is inside."""
    with pytest.raises(error) as caught:
        ring.unseal(SEALED, context)
    assert "Kari" not in str(caught.value)
    if error is UnknownEpoch:
        assert "epoch 2" in str(caught.value)


def test_a_file_and_a_variable_say_the_same() -> None:
    """The file says since when too, and has room for the operator's own words."""
    at = datetime(2026, 11, 23, 8, 30, tzinfo=UTC)
    made = [epochs.Epoch(1, ONE, at), epochs.Epoch(2, KmsKey(ARN), at)]
    text = "# kept in the safe\n\n" + "".join(one.line() for one in made)
    assert text.splitlines()[2] == f"1 key {FIRST} 2026-11-23T08:30:00Z"
    assert parse(text) == made
    assert parse(f"2 aws-kms {ARN}\n1 key {FIRST}") == parse_setting(f"1:{FIRST},2:aws-kms:{ARN}")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "no key-encryption key"),
        (f"1 key {FIRST}\n1 key {SECOND}", "epoch 1 is there twice"),
        (f"1 key {FIRST}\n2 key {FIRST}", "the epochs 1 and 2 have the same key"),
        (f"1 aws-kms {ARN}\n2 aws-kms {ARN.rpartition('/')[2]}", "have the same key"),
        (f"1 key {FIRST}\n2 key", "line 2: <epoch> <kind> <value>"),
        (f"1 key {FIRST} 2026-11-23 2027-11-23", "line 1: <epoch> <kind> <value>"),
        (f"1 key {FIRST} yesterday", "line 1: the time"),
        (f"0 key {FIRST}", "from 1 to 65535"),
        (f"-1 key {FIRST}", "from 1 to 65535"),
        (f"65536 key {FIRST}", "from 1 to 65535"),
        (f"1 vault {FIRST}", "of the kind key or aws-kms"),
        ("1 key AAAA", "this has 3"),
        (f"1 key {FIRST}!", "in base64"),
        ("1 aws-kms alias/samtykke", "not an alias"),
        ("1 aws-kms arn:aws:kms:eu-north-1:123456789012:alias/samtykke", "not an alias"),
    ],
)
def test_a_damaged_list_of_keys_is_refused(text: str, told: str) -> None:
    """The message says where and what it takes, and never quotes a key."""
    with pytest.raises(MalformedKeys, match=told) as caught:
        parse(text)
    assert FIRST not in str(caught.value)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file with one key."""
    path = tmp_path / "vault-keys"
    path.write_text(f"1 key {FIRST}\n")
    path.chmod(0o600)
    return path


def test_a_process_that_runs_notices_a_new_epoch(path: Path) -> None:
    """It seals under it, and opens what another process sealed under it, without a restart."""
    mine = Keyring(KeyFile(path), bytes(32), "s" * 40)
    before = mine.seal(PLAIN, HERE)
    path.write_text(f"1 key {FIRST}\n2 key {SECOND}\n")
    assert mine.unseal(RING.seal(PLAIN, HERE), HERE) == PLAIN
    assert mine.seal(PLAIN, HERE)[:2] == b"\0\2"
    path.write_text(f"2 key {SECOND}\n")
    assert list(mine.epochs) == [2]
    with pytest.raises(UnknownEpoch):
        mine.unseal(before, HERE)


@pytest.mark.parametrize("harm", ["gone", "damaged", "open to all"])
def test_nothing_is_sealed_while_the_changed_file_cannot_be_read(path: Path, harm: str) -> None:
    """It may say that a newer key seals, and the one that we know be destroyed: so nobody seals,
    and what is sealed opens. The log says so once, without a key. When the file is right again,
    or can be read the next time, it is read."""
    mine = Keyring(KeyFile(path), bytes(32), "s" * 40)
    sealed = mine.seal(PLAIN, HERE)
    aside = path.with_name("aside")
    path.rename(aside)
    if harm != "gone":
        path.write_text(f"1 key {FIRST[:-8]}" if harm == "damaged" else f"1 key {FIRST}")
        path.chmod(0o600 if harm == "damaged" else 0o644)
    with capture_logs() as written:
        for _ in range(3):
            with pytest.raises(KeyServiceAway):
                mine.seal(PLAIN, HERE)
            assert mine.unseal(sealed, HERE) == PLAIN
            with pytest.raises(UnknownEpoch):
                mine.unseal(RING.seal(PLAIN, HERE), HERE)
    assert [line["log_level"] for line in written] == ["error"]
    assert FIRST[:-8] not in str(written)
    aside.replace(path)
    assert mine.unseal(mine.seal(PLAIN, HERE), HERE) == PLAIN


def test_a_file_that_could_not_be_read_is_tried_again(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though it did not change meanwhile: the process had too many files open, say."""
    mine = Keyring(KeyFile(path), bytes(32), "s" * 40)
    path.write_text(f"1 key {FIRST}\n2 key {SECOND}\n")
    with monkeypatch.context() as patched:
        patched.setattr(epochs, "read", _too_many)
        with pytest.raises(KeyServiceAway):
            mine.seal(PLAIN, HERE)
    assert mine.seal(PLAIN, HERE)[:2] == b"\0\2"


def _too_many(path: Path) -> list[epochs.Epoch]:
    raise OSError(24, "Too many open files", str(path))
