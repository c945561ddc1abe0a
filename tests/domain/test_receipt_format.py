"""The receipt's format: what is right is read, whatever was changed is refused with its reason."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import rfc8785
from hypothesis import given as examples
from hypothesis import settings
from hypothesis import strategies as st

from domain.ledger import receipts
from domain.ledger.checkpoints import Checkpoint
from domain.ledger.errors import (
    FormatError,
    LedgerError,
    MalformedCheckpoint,
    MalformedEntry,
    MalformedNote,
    MalformedProof,
    MalformedReceipt,
    NotProved,
    SchemaError,
    UntrustedCheckpoint,
    WrongPresentation,
    WrongSignature,
)
from domain.ledger.notes import Note
from domain.ledger.proofs import Proof
from domain.ledger.receipts import MAX_BYTES, Receipt
from tests.support import NOON
from tests.support.receipts import (
    LOG,
    OTHER_KEY,
    OTHER_LOG,
    SEEN,
    SHOWN,
    WITNESS,
    given,
    opened,
    prove,
    receipt,
)

KEYS = (LOG.verifier,)


def check(one: Receipt, *keys: Any) -> receipts.Verified:
    return receipts.check(one.encode(), keys or KEYS, [WITNESS.verifier])


# --- What is right ----------------------------------------------------------------------------


def test_a_receipt_has_exactly_these_bytes() -> None:
    """Canonical JSON, so that others can make and compare them."""
    made = Receipt(b'{"a":"\xc3\xa6"}', None, b"index 0\n")
    assert made.encode() == rfc8785.dumps(json.loads(made.encode()))
    assert made.encode() == (
        b'{"entry":"{\\"a\\":\\"\xc3\xa6\\"}","presentation":null,"proof":"index 0\\n",'
        b'"type":"consent-ledger-receipt","v":1}'
    )
    assert Receipt.parse(made.encode()) == made


@pytest.mark.parametrize("size", [1, 2, 3, 8, 9])
def test_a_receipt_says_what_it_proves(size: int) -> None:
    """The entry, its place, whose log it is, how large it was, and who signed."""
    one = receipt(size, size - 1, witnesses=[WITNESS])
    found = check(one)
    assert found.entry.encode() == one.entry
    assert found.entry.at == NOON
    assert found.presentation == SHOWN
    assert (found.index, found.checkpoint.size) == (size - 1, size)
    assert found.checkpoint.origin == "samtykke.test/consent"
    assert [signed.key for signed in found.by] == [LOG.verifier]
    assert [(signed.key, signed.seen) for signed in found.witnesses] == [(WITNESS.verifier, SEEN)]


def test_what_nothing_was_shown_for_has_a_receipt_too() -> None:
    """An account, a request, a consent that expired."""
    entries = [opened(), given(1)]
    found = check(Receipt(entries[0], None, prove(entries, 0).encode()))
    assert (found.entry.type, found.presentation) == ("account.opened", None)


def test_a_proof_file_and_an_entry_verify_without_a_receipt() -> None:
    """As programs that know nothing of receipts use them."""
    one = receipt()
    found = receipts.check_entry(one.entry, one.proof, KEYS)
    assert (found.index, found.presentation) == (2, None)


@pytest.mark.parametrize("keys", [(LOG,), (OTHER_KEY,), (LOG, OTHER_KEY)])
def test_while_keys_change_either_is_enough(keys: tuple[Any, ...]) -> None:
    """Both sign for a while; whoever knows one of them can verify."""
    one = receipt(signers=[LOG, OTHER_KEY])
    found = check(one, *(key.verifier for key in keys))
    assert {signed.key for signed in found.by} == {key.verifier for key in keys}


def test_a_file_is_named_after_what_it_is_about() -> None:
    """And after nobody."""
    about = receipts.name(check(receipt()).entry)
    assert about == "receipt-consent-given-marketing-2026-11-22-" + json.loads(given(2))["id"][:8]


# --- What was changed -------------------------------------------------------------------------


def _entry(**fields: Any) -> Callable[[Receipt], Receipt]:
    def change(one: Receipt) -> Receipt:
        document = json.loads(one.entry)
        return replace(one, entry=rfc8785.dumps({**document, **fields}))

    return change


def _data(**fields: Any) -> Callable[[Receipt], Receipt]:
    def change(one: Receipt) -> Receipt:
        return _entry(data={**json.loads(one.entry)["data"], **fields})(one)

    return change


def _proof(**fields: Any) -> Callable[[Receipt], Receipt]:
    return lambda one: replace(one, proof=replace(Proof.parse(one.proof), **fields).encode())


def _hashes(change: Callable[[tuple[bytes, ...]], tuple[bytes, ...]]) -> Callable[..., Receipt]:
    return lambda one: _proof(hashes=change(Proof.parse(one.proof).hashes))(one)


def _checkpoint(change: Callable[[bytes], bytes]) -> Callable[[Receipt], Receipt]:
    return lambda one: _proof(checkpoint=change(Proof.parse(one.proof).checkpoint))(one)


def _resized(content: bytes, size: int) -> bytes:
    """The checkpoint with another size, under the old signature."""
    note = Note.parse(content)
    text = replace(Checkpoint.parse(note.text), size=size).text
    return replace(note, text=text).encode()


def _renamed(content: bytes) -> bytes:
    return content.replace(b"samtykke.test/consent", b"annen.test/consent")


def _unsigned(content: bytes) -> bytes:
    """Without the log's line: the witness's alone is left."""
    note = Note.parse(content)
    return Note(note.text, note.signatures[1:]).encode()


OTHERS = [given(number) for number in range(7)]
CHANGES: dict[str, tuple[Callable[[Receipt], Receipt], type[LedgerError]]] = {
    "another time": (_entry(at="2026-11-22T12:00:00.001Z"), NotProved),
    "another id": (_entry(id="0" * 32), NotProved),
    "another tag": (_entry(tag="0" * 64), NotProved),
    "another type": (_entry(type="consent.renewed"), NotProved),
    "no entry's type": (_entry(type="consent"), MalformedEntry),
    "a type that its data does not fit": (_entry(type="consent.refused"), SchemaError),
    "another version": (_entry(v=2), MalformedEntry),
    "one field more": (_entry(note="x"), MalformedEntry),
    "another purpose": (_data(purpose="analytics"), NotProved),
    "another version of the purpose": (_data(purpose_version=2), NotProved),
    "another page": (_data(surface="preferences"), NotProved),
    "another language": (_data(locale="nn"), NotProved),
    "another time of showing": (_data(served_at="2026-11-22T11:59:00.001Z"), NotProved),
    "another end": (_data(expires_at="2029-11-22T12:00:00.000Z"), NotProved),
    "more data": (_data(note="x"), SchemaError),
    "another spelling": (lambda one: replace(one, entry=one.entry + b"\n"), MalformedEntry),
    "another entry": (lambda one: replace(one, entry=given(3)), NotProved),
    "an entry of no log": (lambda one: replace(one, entry=given(99)), NotProved),
    "no entry": (lambda one: replace(one, entry=b""), MalformedEntry),
    "other words": (
        lambda one: replace(one, presentation=SHOWN.replace(b"dine", b"mine")),
        WrongPresentation,
    ),
    "no words": (lambda one: replace(one, presentation=None), WrongPresentation),
    "empty words": (lambda one: replace(one, presentation=b""), WrongPresentation),
    "words and entry changed together": (
        lambda one: replace(one, presentation=b"{}", entry=given(2, shown=b"{}")),
        NotProved,
    ),
    "words that nothing names": (
        lambda one: Receipt(opened(), SHOWN, prove([opened()], 0).encode()),
        WrongPresentation,
    ),
    "another place": (_proof(index=3), NotProved),
    "a place past the end": (_proof(index=7), NotProved),
    "no hashes": (_proof(hashes=()), NotProved),
    "one hash too few": (_hashes(lambda hashes: hashes[:-1]), NotProved),
    "one hash too many": (_hashes(lambda hashes: (*hashes, hashes[-1])), NotProved),
    "hashes in another order": (_hashes(lambda hashes: hashes[::-1]), NotProved),
    "a changed hash": (_hashes(lambda hashes: (bytes(32), *hashes[1:])), NotProved),
    "the proof of another entry": (
        lambda one: replace(one, proof=prove(OTHERS, 3).encode()),
        NotProved,
    ),
    "no proof": (lambda one: replace(one, proof=b""), MalformedProof),
    "a proof of another format": (
        lambda one: replace(one, proof=one.proof.replace(b"@v1", b"@v2")),
        MalformedProof,
    ),
    "a later checkpoint": (
        _proof(checkpoint=prove([*OTHERS, given(7)], 2).checkpoint),
        NotProved,
    ),
    "another size": (_checkpoint(lambda note: _resized(note, 8)), WrongSignature),
    "another root": (
        _checkpoint(lambda note: note.replace(b"\n7\n", b"\n7\nA", 1)),
        MalformedCheckpoint,
    ),
    "another signature": (_checkpoint(lambda note: note[:-5] + b"AAA=\n"), WrongSignature),
    "no checkpoint": (_proof(checkpoint=b""), MalformedNote),
    "an extension line": (
        _checkpoint(lambda note: note.replace(b"\n\n", b"\nmore\n\n", 1)),
        MalformedCheckpoint,
    ),
    "signed by the witness alone": (_checkpoint(_unsigned), UntrustedCheckpoint),
    "another name on the checkpoint": (_checkpoint(_renamed), WrongSignature),
    "another log": (
        lambda one: replace(one, proof=prove(OTHERS, 2, [OTHER_LOG]).encode()),
        UntrustedCheckpoint,
    ),
    "another key of the same name": (
        lambda one: replace(one, proof=prove(OTHERS, 2, [OTHER_KEY]).encode()),
        UntrustedCheckpoint,
    ),
    "another tree, signed by the log": (
        lambda one: replace(one, proof=prove(OTHERS[::-1], 2).encode()),
        NotProved,
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_whatever_was_changed_is_refused_with_its_reason(change: str) -> None:
    """No part of a receipt can be another than it was made with."""
    changed, reason = CHANGES[change]
    one = changed(receipt(witnesses=[WITNESS]))
    with pytest.raises(LedgerError) as refused:
        check(one)
    assert type(refused.value) is reason
    assert str(refused.value)


def test_a_witness_that_did_not_sign_what_it_says_spoils_the_receipt() -> None:
    """Such a checkpoint was changed on its way."""
    one = receipt(witnesses=[WITNESS])
    other = prove(OTHERS[:6], 2, witnesses=[WITNESS]).checkpoint.splitlines(keepends=True)[-1]
    note = Proof.parse(one.proof).checkpoint
    forged = note.replace(note.splitlines(keepends=True)[-1], other)
    with pytest.raises(WrongSignature):
        check(_proof(checkpoint=forged)(one))


def test_a_key_is_never_taken_from_the_receipt() -> None:
    """Nobody's word counts but that of the keys one came with."""
    for keys in ([], [OTHER_KEY.verifier], [OTHER_LOG.verifier], [WITNESS.verifier]):
        with pytest.raises(UntrustedCheckpoint):
            receipts.check(receipt(witnesses=[WITNESS]).encode(), keys, [WITNESS.verifier])


def test_no_byte_of_a_receipt_can_be_another() -> None:
    """Each bit matters, but in the lines of those whose keys one does not know."""
    content = receipt(2, 1).encode()
    for at in range(len(content)):
        changed = bytearray(content)
        changed[at] ^= 1
        with pytest.raises(LedgerError):
            receipts.check(bytes(changed), KEYS)


# --- What is no receipt -----------------------------------------------------------------------


NO_TEXTS: tuple[Any, ...] = (1, {}, ["x"], False)


def _spelled(**fields: Any) -> bytes:
    return rfc8785.dumps({**json.loads(receipt().encode()), **fields})


def _without(field: str) -> bytes:
    document = json.loads(receipt().encode())
    return rfc8785.dumps({name: value for name, value in document.items() if name != field})


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"null", b"[]", b"{}", b"\xff", b"[" * 100_000, b'{"v":1}', b"1"),
        *(_without(field) for field in ("entry", "presentation", "proof", "type", "v")),
        _spelled(more=1),
        *(_spelled(v=version) for version in (2, 0, True, "1", None)),
        *(_spelled(type=type) for type in ("receipt", None, 1)),
        *(_spelled(**{part: other}) for part in ("entry", "proof") for other in (None, *NO_TEXTS)),
        *(_spelled(presentation=other) for other in NO_TEXTS),
        receipt().encode() + b"\n",
        b" " + receipt().encode(),
        json.dumps(json.loads(receipt().encode())).encode(),
        receipt().encode().replace(b'"v":1', b'"v":1.0'),
        receipt().encode().replace(b'"v":1', b'"v":1,"v":1'),
        receipt().encode().replace(b'"entry":"', b'"entry":"\\ud800'),
        receipt().encode().replace("æ".encode(), b"\\u00e6"),
        b'{"entry":"' + b"x" * MAX_BYTES,
    ],
    ids=lambda content: content[:20].decode("latin-1"),
)
def test_what_is_no_receipt_is_refused(content: bytes) -> None:
    """One spelling, closed fields, a limit."""
    with pytest.raises(MalformedReceipt):
        receipts.check(content, KEYS)


_TEXTS = st.one_of(st.none(), st.text(max_size=80), st.sampled_from(["", "{}", "\ud800"]))


@settings(max_examples=150, deadline=None)
@examples(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    """Nothing else can happen to who reads them."""
    try:
        assert Receipt.parse(content).encode() == content
    except MalformedReceipt:
        pass


@settings(max_examples=150, deadline=None)
@examples(st.dictionaries(st.sampled_from(["entry", "presentation", "proof"]), _TEXTS))
def test_any_parts_are_refused(parts: dict[str, str | None]) -> None:
    """However much the file looks like a receipt, what is in it is read as strictly."""
    document = {**json.loads(receipt().encode()), **parts}
    content = json.dumps(document, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    if parts.items() <= json.loads(receipt().encode()).items():
        return
    with pytest.raises((FormatError, LedgerError)):
        receipts.check(content.encode("utf-8", "surrogatepass"), KEYS)


@settings(max_examples=100, deadline=None)
@examples(st.integers(0, 5000), st.binary(min_size=1, max_size=8))
def test_a_receipt_with_something_put_in_is_refused(at: int, more: bytes) -> None:
    """Wherever it is put."""
    content = receipt(2, 1).encode()
    at %= len(content) + 1
    with pytest.raises(LedgerError):
        receipts.check(content[:at] + more + content[at:], KEYS)
