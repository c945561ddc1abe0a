"""DKIM (RFC 6376): mails signed for the domain that they say they come from.

dkimpy reads a mail and hashes its headers, as whoever verifies it will; the key works in
`cryptography`, which takes a thirtieth of the time and gives nothing of it away.
"""

from __future__ import annotations

import base64
import hashlib
from datetime import datetime
from email.message import EmailMessage
from email.utils import parseaddr
from pathlib import Path

import dkim
import idna
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from dkim.canonicalization import CanonicalizationPolicy

from domain.delivery.transports import POLICY
from settings import Settings, SettingsError

# Each of these that a mail has is signed (RFC 6376 5.4.1; RFC 8058 4 asks for the List- two), and
# `from` once more than it stands there: a second one that is added breaks the signature.
HEADERS = (
    *(b"from", b"reply-to", b"to", b"subject", b"date", b"message-id"),
    *(b"list-id", b"list-unsubscribe", b"list-unsubscribe-post"),
    *(b"mime-version", b"content-type", b"content-language"),
)
# RFC 8301 3.2: verifiers take no shorter ones for granted.
SHORTEST = 2048
# Headers may be folded anew on their way; bodies are in quoted-printable and stay as they are.
_HOW = CanonicalizationPolicy.from_c_value(b"relaxed/simple")


class Signer:
    """Signs with one key, under one selector, for whichever of the site's domains sends."""

    def __init__(self, key: RSAPrivateKey, selector: str):
        self._key = key
        self._selector = selector.encode()

    def header(self, mail: bytes, domain: str, at: datetime) -> bytes:
        """The header, with its line end, to put before a mail that has CRLF at its line ends."""
        return b"DKIM-Signature: " + self._value(mail, domain, at, b";\r\n ") + b"\r\n"

    def sign(self, mail: EmailMessage, at: datetime) -> None:
        """Add the header to a mail that leaves as POLICY writes it, and is not changed before."""
        domain = domain_of(str(mail["From"]))
        # Unfolded, as a header of an EmailMessage must be, and short enough to stay so.
        value = self._value(mail.as_bytes(policy=POLICY), domain, at, b"; ")
        mail["DKIM-Signature"] = value.decode()

    def _value(self, mail: bytes, domain: str, at: datetime, between: bytes) -> bytes:
        headers, body = dkim.rfc822_parse(mail)
        there = {name.lower() for name, _ in headers}
        signed = [b"from", *(name for name in HEADERS if name in there)]
        hashed = base64.b64encode(hashlib.sha256(_HOW.canonicalize_body(body)).digest())
        unsigned = between.join(
            (
                b"v=1; a=rsa-sha256; c=" + _HOW.to_c_value(),
                b"d=%b; s=%b; t=%d" % (domain.encode(), self._selector, at.timestamp()),
                b"h=" + b":".join(signed),
                b"bh=" + hashed,
                b"b=",
            )
        )
        digest = hashlib.sha256()
        canonical = _HOW.canonicalize_headers(headers)
        own = (b"DKIM-Signature", b" " + unsigned)
        dkim.hash_headers(digest, _HOW, canonical, signed, own, {})
        signature = self._key.sign(digest.digest(), PKCS1v15(), Prehashed(SHA256()))
        return unsigned + _folded(base64.b64encode(signature), between)


def signer(settings: Settings) -> Signer | None:
    """What signs this site's mails; None where no key is set. Raises SettingsError."""
    if settings.dkim_key_file is None:
        return None
    key = _read(settings.dkim_key_file)
    if not isinstance(key, RSAPrivateKey) or key.key_size < SHORTEST:
        raise SettingsError(f"DKIM_KEY_FILE takes an RSA key of {SHORTEST} bits or more")
    return Signer(key, settings.dkim_selector)


def domain_of(sender: str) -> str:
    """The domain of a sender, as mail servers write it."""
    domain = parseaddr(sender)[1].rpartition("@")[2]
    return domain if domain.isascii() else idna.encode(domain, uts46=True).decode()


def ascii_address(address: str) -> str:
    """A bare address as every mail server takes it."""
    return f"{address.rpartition('@')[0]}@{domain_of(address)}"


def _read(path: Path) -> object:
    try:
        return load_pem_private_key(path.read_bytes(), None)
    except OSError as error:
        raise SettingsError(f"DKIM_KEY_FILE: {path}: {error.strerror}") from None
    except (ValueError, TypeError, UnsupportedAlgorithm):  # whose text may quote the file
        raise SettingsError(
            "DKIM_KEY_FILE takes a private key in PEM, without a password"
        ) from None


def _folded(signature: bytes, between: bytes) -> bytes:
    """In lines of 72, where the header may have several."""
    if b"\r\n" not in between:
        return signature
    return b"\r\n ".join(signature[at : at + 72] for at in range(0, len(signature), 72))
