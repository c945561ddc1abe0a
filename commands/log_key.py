"""A new key for a log, for production: python -m commands.log_key lillemini.com/consent"""

from __future__ import annotations

import click

from domain.ledger.log import is_origin
from domain.ledger.notes import SignerKey


@click.command("log_key")
@click.argument("origin")
def log_key(origin: str) -> None:
    """Make a key that signs the log called ORIGIN.

    On standard output the private key, for LOG_KEYS or LOG_KEY_FILE; on standard error the
    verifier key, which everybody may know. Nothing is kept. An origin is an address without its
    scheme, as lillemini.com/consent; it stays the log's name for ever.
    """
    if not is_origin(origin):
        raise click.ClickException(
            "an origin is an address without its scheme and in lower case: lillemini.com/consent"
        )
    signer = SignerKey.make(origin)
    click.echo(signer.encode())
    click.echo(f"Its verifier key: {signer.verifier}", err=True)


if __name__ == "__main__":
    log_key()
