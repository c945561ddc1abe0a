"""DKIM: the mails that people wait for are signed as well, and only a good key is taken."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import dkim
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from flask import Flask

import settings as site_settings
import signing
from settings import SettingsError
from signing import Signer
from tests.support import NOON, dkim_keys
from tests.support.browser import Browser
from tests.support.mails import Mails
from tests.support.people import register

DOMAIN = "lillemini.example"


def _key_file(folder: Path, content: bytes) -> Path:
    path = folder / "dkim.pem"
    path.write_bytes(content)
    return path


@pytest.mark.requirement(41, 42)
@pytest.mark.parametrize("backend", ["sqlite"])
def test_a_mail_that_the_worker_sends_is_signed(
    app: Flask, client: Browser, mails: Mails, settings: site_settings.Settings
) -> None:
    """By the domain that it says it comes from, with its attachments, as it reached the server."""
    app.extensions["signer"] = Signer(dkim_keys.key().private, dkim_keys.SELECTOR)
    register(client)
    mails.deliver()
    (file,) = (settings.instance / "mail").glob("*.eml")
    content = file.read_bytes()
    verifies = dkim_keys.key().verifies
    assert verifies(content, DOMAIN)
    assert not verifies(content.replace(b"To: i", b"To: j"), DOMAIN)
    assert not verifies(content.replace(b"receipt-", b"deceit-", 1), DOMAIN)
    assert not verifies(b"From: x@evil.example\r\n" + content, DOMAIN)


@pytest.mark.parametrize(
    "body", [b"", b"\r\n\r\n", b"x \t\r\n\r\n", b".\r\n", b"\xc3\xa6" * 2000], ids=range(5)
)
def test_any_body_verifies(body: bytes) -> None:
    """By dkimpy itself, which shares none of the arithmetic with us."""
    mail = b"From: a@lillemini.example\r\nSubject:  a\r\n  b\r\n\r\n" + body
    header = Signer(dkim_keys.key().private, dkim_keys.SELECTOR).header(mail, DOMAIN, NOON)
    assert dkim_keys.key().verifies(header + mail, DOMAIN)
    assert max(map(len, header.split(b"\r\n"))) <= 90


def test_a_good_key_is_read_from_its_file(
    settings_for_keys: site_settings.Settings, tmp_path: Path
) -> None:
    """In PEM; and no file means no signature."""
    assert signing.signer(settings_for_keys) is None
    path = _key_file(tmp_path, dkim_keys.key().pem)
    made = dataclasses.replace(settings_for_keys, dkim_key_file=path, dkim_selector="s2026")
    signer = signing.signer(made)
    assert signer is not None
    mail = b"From: a@lillemini.example\r\n\r\nx\r\n"
    assert dkim_keys.key().verifies(signer.header(mail, DOMAIN, NOON) + mail, DOMAIN)
    assert dkim.sign(mail, b"s", DOMAIN.encode(), path.read_bytes()), "dkimpy reads it too"


@pytest.mark.parametrize("kind", ["short", "elliptic", "locked", "no key", "nothing"])
def test_a_bad_key_stops_the_start(
    settings_for_keys: site_settings.Settings, tmp_path: Path, kind: str
) -> None:
    """With the setting's name, and nothing of what the file holds."""
    content = {
        "short": dkim_keys.key(1024).pem,
        "elliptic": ec.generate_private_key(ec.SECP256R1()).private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
        ),
        "locked": dkim_keys.key().private.private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x")
        ),
        "no key": b"hunter2",
        "nothing": b"",
    }[kind]
    path = _key_file(tmp_path, content)
    made = dataclasses.replace(settings_for_keys, dkim_key_file=path, dkim_selector="s2026")
    with pytest.raises(SettingsError, match="DKIM_KEY_FILE takes") as caught:
        signing.signer(made)
    assert "hunter2" not in str(caught.value)
    path.unlink()
    with pytest.raises(SettingsError, match=r"DKIM_KEY_FILE: .*No such file"):
        signing.signer(made)


@pytest.fixture
def settings_for_keys(tmp_path: Path) -> site_settings.Settings:
    """Settings of a developer's machine, of which only the key matters."""
    return site_settings.Settings.from_environment(
        {"SAMTYKKE_ENV": "development", "INSTANCE_PATH": str(tmp_path / "instance")}
    )
