"""`flask ledger witness`, or `python -m commands.witness`: a witness for somebody else's log.

It needs neither the site's database nor its secrets. The second spelling does not load the site
at all, and is the one for another company's machine.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import structlog
from waitress import serve

import logs
from domain.ledger.errors import (
    FormatError,
    LedgerError,
    MalformedKey,
    OldAboveNew,
    ProofError,
    UnknownOrigin,
    UntrustedCheckpoint,
    WitnessConflict,
    WrongSignature,
)
from domain.ledger.notes import KeyType, VerifierKey
from domain.ledger.submissions import MAX_BYTES
from domain.ledger.witness import Cosigner, open_key

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

log = structlog.get_logger()

_OK = "200 OK"
# What each refusal is called over HTTP (C2SP tlog-witness).
_REFUSALS: tuple[tuple[type[LedgerError], str], ...] = (
    (FormatError, "400 Bad Request"),
    (OldAboveNew, "400 Bad Request"),
    (UnknownOrigin, "404 Not Found"),
    (UntrustedCheckpoint, "403 Forbidden"),
    (WrongSignature, "403 Forbidden"),
    (WitnessConflict, "409 Conflict"),
    (ProofError, "422 Unprocessable Entity"),
)
_Answer = tuple[str, str, str]


class _LogKey(click.ParamType[VerifierKey]):
    """A log's verifier key."""

    name = "verifier key"

    def convert(self, value: Any, param: Any, ctx: Any) -> VerifierKey:
        """Read it, or say what is wrong with it."""
        try:
            key = VerifierKey.parse(value)
        except MalformedKey as error:
            self.fail(str(error), param, ctx)
        if key.type is not KeyType.LOG:
            self.fail("this is the key of a witness, not of a log", param, ctx)
        return key


_file = click.Path(path_type=Path, dir_okay=False)


@click.command("witness")
@click.option("--listen", default="127.0.0.1:8100", show_default=True, help="Address and port.")
@click.option("--key-file", type=_file, required=True, help="Its key; made at the first run.")
@click.option("--state-file", type=_file, required=True, help="What it signed last. Never go back.")
@click.option("--log", "keys", type=_LogKey(), multiple=True, required=True, help="A log's key.")
@click.option("--name", help="The witness's name, at the first run: witness.example.com/us")
def witness(
    listen: str, key_file: Path, state_file: Path, keys: tuple[VerifierKey, ...], name: str | None
) -> None:
    """Cosign the checkpoints of logs (C2SP tlog-witness), until stopped.

    A witness signs each next checkpoint of a log only after the proof that it goes on from the
    one before. Give --log once for each verifier key of each log. It speaks plain HTTP: put a
    server that speaks TLS before it.
    """
    try:
        signer = open_key(key_file, state_file, name)
    except (LedgerError, OSError) as error:
        raise click.ClickException(str(error)) from error
    logs.configure()
    click.echo(f"Witness: {signer.verifier}")
    cosigner = Cosigner(signer, keys, state_file, lambda: datetime.now(UTC))
    serve(application(cosigner), listen=listen, ident=None, max_request_body_size=MAX_BYTES + 1)


def application(cosigner: Cosigner) -> WSGIApplication:
    """The witness over HTTP."""

    def answer(environ: WSGIEnvironment) -> _Answer:
        path, method = environ.get("PATH_INFO") or "/", environ["REQUEST_METHOD"]
        if path == "/add-checkpoint":
            if method != "POST":
                return "405 Method Not Allowed", "text/plain", "POST a checkpoint here.\n"
            return _submit(cosigner, environ)
        if path == "/" and method in ("GET", "HEAD"):
            about = f"A witness (c2sp.org/tlog-witness): {cosigner.key.name}\n{cosigner.key}\n"
            return _OK, "text/plain", about
        return "404 Not Found", "text/plain", "There is only /add-checkpoint here.\n"

    def wsgi(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        status, kind, text = answer(environ)
        body = text.encode()
        if kind == "text/plain":
            kind = "text/plain; charset=utf-8"
        headers = [("Content-Type", kind), ("Content-Length", str(len(body)))]
        if status.startswith("405"):
            headers.append(("Allow", "POST"))
        start_response(status, headers)
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]

    return wsgi


def _submit(cosigner: Cosigner, environ: WSGIEnvironment) -> _Answer:
    length = environ.get("CONTENT_LENGTH") or "0"
    # One more than the most: what is longer is refused for its length, and not read to its end.
    most = min(int(length), MAX_BYTES + 1) if length.isdecimal() else 0
    body = environ["wsgi.input"].read(most)
    try:
        line = cosigner.add_checkpoint(body)
    except LedgerError as error:
        for kind, status in _REFUSALS:
            if isinstance(error, kind):
                log.info("refused", status=status, reason=str(error))
                if isinstance(error, WitnessConflict):
                    return status, "text/x.tlog.size", f"{error.size}\n"
                return status, "text/plain", f"{error}\n"
        raise
    return _OK, "text/plain", line


if __name__ == "__main__":
    witness()
