"""The mails that the site sent, as a person would find them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Protocol

_LINK = re.compile(r"https?://[^\s<>\"]+")
_SIGNED = ("/confirm/", "/password/reset/", "/requests/verify/")


class Steps(Protocol):
    """What delivers: the application's worker."""

    def step(self) -> object | None:
        """Deliver one message; None if none is due."""


class RunsOnce(Protocol):
    """What gives entries their places: the application's sequencer."""

    def run_once(self) -> int:
        """Sequence all that waits."""


class Mails:
    """The folder that mail goes to, after the worker has run until nothing is due."""

    def __init__(self, folder: Path, worker: Steps, sequencer: RunsOnce):
        self._folder = folder
        self._worker = worker
        self._sequencer = sequencer

    def deliver(self) -> None:
        """Run the worker until nothing is due, and the sequencer before each message, as it does
        beside the worker: so mails carry their receipts."""
        delivered: object | None = self
        while delivered is not None:
            self._sequencer.run_once()
            delivered = self._worker.step()

    def all(self) -> list[EmailMessage]:
        """Every mail that was sent, the oldest first."""
        self.deliver()
        return list(self._read())

    def to(self, address: str) -> list[EmailMessage]:
        """The mails to one address, the oldest first."""
        return [mail for mail in self.all() if address in str(mail["To"])]

    def last(self, address: str) -> EmailMessage:
        """The newest mail to one address; fail where there is none."""
        found = self.to(address)
        assert found, f"no mail was sent to {address}"
        return found[-1]

    def _read(self) -> Iterator[EmailMessage]:
        for path in sorted(self._folder.glob("*.eml"), key=lambda path: path.stat().st_mtime_ns):
            mail = message_from_bytes(path.read_bytes(), policy=policy.default)
            assert isinstance(mail, EmailMessage)
            yield mail


def text(mail: EmailMessage, kind: str = "plain") -> str:
    """A mail's words: the plain text, or `html`."""
    part = mail.get_body(preferencelist=(kind,))
    assert part is not None, f"the mail has no {kind} part"
    content = part.get_content()
    assert isinstance(content, str)
    return content


def receipts_in(mail: EmailMessage) -> list[bytes]:
    """The receipts that a mail carries, each named by the entry that it is about."""
    found = []
    for part in mail.iter_attachments():
        content = part.get_payload(decode=True)
        assert isinstance(content, bytes)
        entry = json.loads(json.loads(content)["entry"])
        assert part.get_filename() == f"receipt-{entry['id'][:8]}.json"
        assert part.get_content_type() == "application/json"
        found.append(content)
    return found


def link_in(mail: EmailMessage, *, containing: str | None = None) -> str:
    """The signed link of a mail, or its first link with `containing` in it."""
    wanted = _SIGNED if containing is None else (containing,)
    for link in _LINK.findall(text(mail)):
        if any(part in link for part in wanted):
            return str(link)
    raise AssertionError(f"no link with {' or '.join(wanted)} in the mail")
