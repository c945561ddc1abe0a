"""Asks the consent site that stands beside this application, under the same origin.

Copy this file: it needs Python's standard library alone, and any framework will do. `headers` are
those of the request that is being answered; what the browser sent goes along, so that the answer
is about whoever sits there. Whatever goes wrong is a no, and no section.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import urlencode, urlsplit

_ALONG = ("cookie", "sec-gpc", "accept-language")


class Samtykke:
    """The consent site, at an address that this program can reach: `http://127.0.0.1:5000`."""

    def __init__(self, address: str, *, timeout: float = 2.0):
        self._parts, self._timeout = urlsplit(address), timeout

    def permitted(self, purpose: str, headers: Mapping[str, str]) -> bool:
        """Whether this may be done now. Ask each time, right before it is done."""
        found = self._ask("/api/v1/permission", {"purpose": purpose}, headers)
        try:
            answer = json.loads(found)
        except ValueError:
            return False
        return isinstance(answer, dict) and answer.get("permitted") is True

    def section(self, page: str, headers: Mapping[str, str]) -> str:
        """The HTML that asks for the visitor's choice on the page at this path, which the choice
        comes back to; nothing where there is nothing to ask."""
        return self._ask("/consent/section", {"next": page}, headers)

    def _ask(self, path: str, values: Mapping[str, str], headers: Mapping[str, str]) -> str:
        kind = HTTPSConnection if self._parts.scheme == "https" else HTTPConnection
        connection = kind(self._parts.netloc, timeout=self._timeout)
        along = {name: text for name, text in headers.items() if name.lower() in _ALONG}
        try:
            connection.request("GET", f"{path}?{urlencode(values)}", headers=along)
            answer = connection.getresponse()
            return answer.read().decode() if answer.status == 200 else ""
        except (OSError, HTTPException, ValueError):
            return ""
        finally:
            connection.close()
