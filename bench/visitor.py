"""A visitor over real HTTP, on one connection that stays open, with a clock in hand."""

from __future__ import annotations

import time
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPResponse
from itertools import count
from urllib.parse import urlencode

from bs4 import BeautifulSoup

_places = count(1)


class Visitor:
    """Sends forms as a stranger each time: no cookie and no address is used twice."""

    def __init__(self, port: int):
        self._connection = HTTPConnection("127.0.0.1", port, timeout=60)

    def timed(self, path: str, filled: Mapping[str, str], expected: int) -> float:
        """Send the form at `path`; return how many seconds its answer took.

        The form is fetched before the clock starts. Raises RuntimeError for another answer
        than the expected one, which would be a measurement of something else.
        """
        headers = {"X-Forwarded-For": _place(), "Accept-Language": "nb"}
        page, body = self._send("GET", path, None, headers)
        hidden = {
            str(field["name"]): str(field["value"])
            for field in BeautifulSoup(body, "html.parser").select("input[type=hidden][name]")
        }
        headers |= {
            "Cookie": (page.headers["Set-Cookie"] or "").partition(";")[0],
            "Content-Type": "application/x-www-form-urlencoded",
        }
        sent = urlencode({**hidden, **filled}).encode()
        began = time.perf_counter()
        answer, _ = self._send("POST", path, sent, headers)
        took = time.perf_counter() - began
        if answer.status != expected:
            raise RuntimeError(f"POST {path} answered {answer.status}, not {expected}")
        return took

    def close(self) -> None:
        """Hang up."""
        self._connection.close()

    def _send(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]
    ) -> tuple[HTTPResponse, bytes]:
        self._connection.request(method, path, body, dict(headers))
        response = self._connection.getresponse()
        return response, response.read()


def _place() -> str:
    """An address of a network that nobody has tried from."""
    number = next(_places)
    return f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
