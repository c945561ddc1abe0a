"""The mails that the site sent, as a person would find them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Protocol

_LINK = re.compile(r"https?://[^\s<>\"]+")
_SIGNED = ("/confirm/", "/password/reset/", "/requests/verify/")


class RunsOnce(Protocol):
    """What delivers: the application's worker."""

    def run_once(self) -> int:
        """Deliver what is due; return how many deliveries were done."""


class Mails:
    """The folder that mail goes to, after the worker has run until nothing is due."""

    def __init__(self, folder: Path, worker: RunsOnce):
        self._folder = folder
        self._worker = worker

    def deliver(self) -> None:
        """Run the worker until nothing is due."""
        while self._worker.run_once():
            pass

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


def link_in(mail: EmailMessage, *, containing: str | None = None) -> str:
    """The signed link of a mail, or its first link with `containing` in it."""
    wanted = _SIGNED if containing is None else (containing,)
    for link in _LINK.findall(text(mail)):
        if any(part in link for part in wanted):
            return str(link)
    raise AssertionError(f"no link with {' or '.join(wanted)} in the mail")
