"""What browsers ask for and complain of while they use the site."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, ConsoleMessage

# What the browser says of every answer that is an error, also of one that was meant to be.
_STATUS = "Failed to load resource: the server responded with a status of"


class Watch:
    """Records every request and every word on the console."""

    def __init__(self, site: str):
        self._site = urlsplit(site).netloc
        self._hosts: set[str] = set()
        self._words: list[str] = []

    def over(self, context: BrowserContext) -> None:
        """Watch whatever is opened in this context from now on."""
        context.on("request", lambda request: self._hosts.add(urlsplit(request.url).netloc))
        context.on("console", self._said)
        context.on("weberror", lambda error: self._words.append(str(error.error)))

    def complaints(self) -> list[str]:
        """Requests to others, errors, and violations of the Content-Security-Policy."""
        strangers = sorted(self._hosts - {self._site, ""})
        return [*(f"asked {host}" for host in strangers), *self._words]

    def forgive(self) -> None:
        """Forget what was provoked."""
        self._hosts.clear()
        self._words.clear()

    def _said(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"} and not message.text.startswith(_STATUS):
            self._words.append(message.text)
