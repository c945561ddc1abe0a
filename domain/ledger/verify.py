"""Verify receipts without the site: `python -m domain.ledger.verify receipt.json --key <key>`.

Needs this folder, `domain/dates.py` and the two libraries that they use; no database, no
network, and nobody's word. The key must come from elsewhere than the receipt: from the log's own
page, from a mail, from somebody who wrote it down. Exits with 0 when everything was verified, 1
when something was not, 2 when it was asked wrongly.

A key that was retired vouches for nothing larger than the log was then; whoever stole it could
sign more. So the log's page says up to which size it counts: `--key <key> --until <size>`.
"""

from __future__ import annotations

import argparse
import base64
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from domain.dates import timestamp
from domain.ledger import receipts
from domain.ledger.checkpoints import Checkpoint
from domain.ledger.errors import LedgerError, MalformedKey
from domain.ledger.notes import KeyType, Note, Signed, VerifierKey
from domain.ledger.proofs import Proof
from domain.ledger.receipts import Receipt, Verified

_STDIN = "-"
# What lies beside receipts in a folder, and is none.
_OTHERS = (".entry.json", ".kantara.json", ".27560.json")


@dataclass
class _Given:
    """A key of the log, and the largest checkpoint that it signs, where it was retired."""

    key: VerifierKey
    until: int | None = None


class _Asked(Exception):
    """The command cannot be understood or the file not be read. Exit status 2."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Verify what the command line names; return the exit status."""
    parser = _parser()
    asked = parser.parse_args(arguments)
    try:
        names = list(_names(asked.receipt, alone=asked.entry is not None))
        extra = _read(asked.entry) if asked.entry is not None else None
        wrong = sum(not _verify(name, extra, asked) for name in names)
    except _Asked as error:
        parser.print_usage(sys.stderr)
        _complain(f"{parser.prog}: {error}")
        return 2
    if len(names) > 1:
        _say(f"{len(names) - wrong} of {len(names)} receipts are right.")
    return 1 if wrong else 0


def sentences(verified: Verified) -> Iterator[str]:
    """What was verified, in plain English."""
    entry, tree = verified.entry, verified.checkpoint
    yield f"The entry says: {_decided(entry.type, entry.data)}."
    yield f"The server's clock said {timestamp(entry.at)}; that is a claim, the position is not."
    yield (
        f"It is number {verified.index + 1} of the {tree.size} entries in the log {tree.origin} "
        f"(position {verified.index}, counted from 0)."
    )
    yield f"The root over them is {base64.b64encode(tree.root).decode()}."
    for one in verified.by:
        yield f"Signed by the log with {one.key}."
    for one in verified.witnesses:
        yield f"Seen by the witness {one.key.name} at {_seen(one)}."
    if verified.presentation is not None:
        yield f"What was shown is in it, and is what the entry names: {entry.data['presentation']}."
    yield f"The entry is {entry.id}; nobody but the log's owner can tell from it whom it is about."


def _verify(name: str, entry: bytes | None, asked: argparse.Namespace) -> bool:
    """Verify one file and say what came of it."""
    content = _read(name)
    try:
        size = _size(content if entry is not None else Receipt.parse(content).proof)
        keys = [one.key for one in asked.key if one.until is None or size <= one.until]
        if entry is None:
            verified = receipts.check(content, keys, asked.witness)
        else:
            verified = receipts.check_entry(entry, content, keys, asked.witness)
    except LedgerError as error:
        _complain(f"{name}: NOT verified: {_what(error)}.")
        return False
    _say(f"{name}: verified.")
    if not asked.quiet:
        for sentence in sentences(verified):
            _say(f"  {sentence}")
        unseen = {key.name for key in asked.witness} - {one.key.name for one in verified.witnesses}
        for witness in sorted(unseen):
            _say(f"  Not signed by the witness {witness}.")
    return True


def _size(proof: bytes) -> int:
    """How many entries the checkpoint of a proof file says there are."""
    return Checkpoint.parse(Note.parse(Proof.parse(proof).checkpoint).text).size


def _what(error: LedgerError) -> str:
    """The error in words, with the part of the receipt that it is about."""
    words = str(error)
    part = _PARTS.get(type(error).__name__)
    return f"{part}: {words}" if part else words


_PARTS = {
    "MalformedReceipt": "this is not a receipt",
    "MalformedEntry": "its entry is not an entry",
    "SchemaError": "its entry is not an entry",
    "MalformedProof": "its proof is not a proof",
    "MalformedNote": "its checkpoint is not a signed note",
    "MalformedCheckpoint": "its checkpoint is not a checkpoint",
    "WrongSignature": "its checkpoint was changed, or its signature was",
    "UntrustedCheckpoint": "its checkpoint is not signed with a key that you gave for its size",
}


def _decided(type: str, data: dict[str, object]) -> str:
    facts = ", ".join(f"{name} {value}" for name, value in sorted(data.items()))
    return f"{type} ({facts})"


def _seen(one: Signed) -> str:
    try:
        return timestamp(datetime.fromtimestamp(one.seen or 0, UTC))
    except (ValueError, OverflowError, OSError):
        return f"{one.seen} seconds after 1970"


def _names(given: Sequence[str], *, alone: bool) -> Iterator[str]:
    """The files to verify: those that are named, and the receipts in folders that are."""
    if alone and len(given) != 1:
        raise _Asked("--entry goes with one .tlog-proof file")
    for name in given:
        if name == _STDIN or not Path(name).is_dir():
            yield name
            continue
        found = sorted(
            str(path) for path in Path(name).glob("*.json") if not path.name.endswith(_OTHERS)
        )
        if not found:
            raise _Asked(f"there is no receipt in {name}")
        yield from found


def _read(name: str) -> bytes:
    """A file, or standard input; no more of it than a receipt can be long."""
    try:
        if name == _STDIN:
            return sys.stdin.buffer.read(receipts.MAX_BYTES + 1)
        with Path(name).open("rb") as file:
            return file.read(receipts.MAX_BYTES + 1)
    except OSError as error:
        raise _Asked(f"{name}: {error.strerror}") from error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m domain.ledger.verify",
        description="Verify receipts of the consent ledger, without the site and offline.",
        epilog="A key inside a receipt is never trusted: take it from the log's page.",
    )
    parser.add_argument(
        "receipt", nargs="+", help="a receipt, a folder of them, or - for standard input"
    )
    parser.add_argument(
        "--key",
        action="append",
        required=True,
        type=_log_key,
        help="a verifier key of the log; repeat it for older and newer ones",
    )
    parser.add_argument(
        "--until",
        action=_Until,
        type=int,
        metavar="SIZE",
        help="behind a --key that was retired: the largest checkpoint that it signs",
    )
    parser.add_argument(
        "--witness",
        action="append",
        default=[],
        type=_key(KeyType.WITNESS),
        help="the verifier key of a witness whose signature to look for",
    )
    parser.add_argument(
        "--entry", help="the entry's bytes, where the receipt is a .tlog-proof file"
    )
    parser.add_argument("--quiet", action="store_true", help="say only which are right")
    return parser


def _log_key(text: str) -> _Given:
    return _Given(_key(KeyType.LOG)(text))


_log_key.__name__ = "verifier key"


class _Until(argparse.Action):
    """Bounds the key before it."""

    def __call__(self, parser, namespace, values, option_string=None) -> None:  # type: ignore[no-untyped-def]
        if not namespace.key or namespace.key[-1].until is not None:
            parser.error("--until stands behind the --key that it bounds")
        namespace.key[-1].until = values


def _key(wanted: KeyType) -> Callable[[str], VerifierKey]:
    def verifier_key(text: str) -> VerifierKey:
        try:
            found = VerifierKey.parse(text)
        except MalformedKey as error:
            raise argparse.ArgumentTypeError(f"not a verifier key: {error}") from None
        if found.type is not wanted:
            raise argparse.ArgumentTypeError(f"not the key of a {wanted.name.lower()}: {text}")
        return found

    return verifier_key


def _say(line: str) -> None:
    sys.stdout.write(f"{_printable(line)}\n")


def _complain(line: str) -> None:
    sys.stderr.write(f"{_printable(line)}\n")


def _printable(line: str) -> str:
    """Names in a file are anybody's: what would move the cursor, or turn the line round, is
    written as its number."""
    return "".join(
        one if one.isprintable() else one.encode("unicode_escape").decode() for one in line
    )


if __name__ == "__main__":
    sys.exit(main())
