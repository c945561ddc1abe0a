"""The file of the log's private keys, a line each: how a new one gets into it."""

from __future__ import annotations

from collections.abc import Container
from pathlib import Path

from domain.ledger import files
from domain.ledger.errors import NoNewKey
from domain.ledger.log import Log
from domain.ledger.notes import SignerKey, VerifierKey


def next_key(
    log: Log, path: Path | None, origin: str, known: Container[VerifierKey]
) -> tuple[SignerKey, bool]:
    """A key of this origin that the log does not know yet, and whether it was made just now.

    One that stands in the settings already is taken: a run that was killed after it wrote the
    key, and before it registered it, is taken up. Otherwise a new one is added to the file, and
    is on the disk when this returns. Raises NoNewKey where there is no file, since the keys come
    from the environment; MalformedKey; OSError where the file cannot be written.
    """
    if path is None:
        for signer in log.signers:
            if signer.name == origin and signer.verifier not in known:
                return signer, False
        raise NoNewKey(origin)
    with files.locked(path):
        # Read again under the lock: another run may have added one since the settings were.
        lines = path.read_text("utf-8").replace(",", " ").split()
        for signer in map(SignerKey.parse, lines):
            if signer.name == origin and signer.verifier not in known:
                return signer, False
        signer = SignerKey.make(origin)
        files.replace(path, "".join(f"{line}\n" for line in (*lines, signer.encode())).encode())
    return signer, True
