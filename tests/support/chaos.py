"""People who change their mind all the time, on a site whose processes die under them.

Each remembers what they tried and what they were answered. A try is told from every other by
when its form was served: that stands in the form's token, and in the entries that came of it.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from http.client import HTTPConnection, HTTPException, HTTPResponse
from random import Random
from urllib.parse import urlencode

from itsdangerous import URLSafeSerializer

PURPOSES = ("analytics", "marketing")
_PATIENCE = 60.0
_INPUT = re.compile(r"<input\b[^>]*>")
_NAME = re.compile(r'\bname="([^"]*)"')
_VALUE = re.compile(r'\bvalue="([^"]*)"')


class Outcome(Enum):
    """What somebody knows of a try: that it was accepted, that it was refused, or nothing,
    since the connection broke."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    LOST = "lost"


@dataclass(frozen=True)
class Try:
    """A form that was sent: when it was served, what was chosen, and what came back."""

    served_at: str
    yes: bool
    outcome: Outcome


@dataclass(frozen=True)
class Form:
    """The form of the preferences page, as one person was served it."""

    csrf: str
    token: str
    ticked: bool

    @classmethod
    def on(cls, page: str) -> Form:
        """The form of this page."""
        boxes = {found[1]: tag for tag in _INPUT.findall(page) if (found := _NAME.search(tag))}
        values = {name: found[1] for name, tag in boxes.items() if (found := _VALUE.search(tag))}
        return cls(
            values["csrf_token"], values["presentation"], "checked" in boxes["consent-marketing"]
        )

    def filled(self, *, yes: bool) -> dict[str, str]:
        """The form as it is sent back, with every box ticked or none."""
        ticked = {f"consent-{purpose}": "y" for purpose in PURPOSES if yes}
        return {"csrf_token": self.csrf, "presentation": self.token, **ticked}

    @property
    def served_at(self) -> str:
        """When it was served, as its token says. Read without the key: we only compare it."""
        _, (_, served_at, *_) = URLSafeSerializer("unknown").loads_unsafe(self.token)
        return str(served_at)


class Gone(Exception):
    """The connection broke: whatever was asked for may have happened or not."""


@dataclass
class Person:
    """Somebody signed in, on a connection of their own."""

    email: str
    port: int
    cookie: str
    chance: Random
    tries: list[Try] = field(default_factory=list)
    _connection: HTTPConnection | None = None

    def change_their_mind(self) -> None:
        """Open the page, choose the opposite of what it shows, and send it; sometimes in a way
        that must be refused."""
        way = self.chance.choices(
            (self._send_it, self._send_an_old_tab, self._send_a_forgery), weights=(8, 1, 1)
        )[0]
        way()

    def _send_it(self) -> None:
        form = self._open()
        self._try(form, yes=not form.ticked)

    def _send_an_old_tab(self) -> None:
        """A tab that was opened before another was sent says nothing any more."""
        old, new = self._open(), self._open()
        yes = not new.ticked
        if self._try(new, yes=yes) is Outcome.ACCEPTED:
            outcome = self._try(old, yes=not yes)
            assert outcome is not Outcome.ACCEPTED, "an old tab undid a newer decision"

    def _send_a_forgery(self) -> None:
        """Without the tokens that the page held, or with others, nothing is recorded."""
        form = self._open()
        if self.chance.random() < 0.5:
            forged = Form(form.csrf[::-1], form.token, form.ticked)
        else:
            forged = Form(form.csrf, f"{form.token[:-2]}--", form.ticked)
        outcome = self._try(forged, yes=not form.ticked)
        assert outcome is not Outcome.ACCEPTED, "a forged form was accepted"

    def _open(self) -> Form:
        until = time.monotonic() + _PATIENCE
        while True:
            try:
                answer = self._ask("GET", None)
                assert answer.status == 200, f"the page answered {answer.status}"
                return Form.on(answer.read().decode())
            except (Gone, OSError, HTTPException):
                self.hang_up()
                assert time.monotonic() < until, "the site did not come back"

    def _try(self, form: Form, *, yes: bool) -> Outcome:
        try:
            answer = self._ask("POST", urlencode(form.filled(yes=yes)))
        except Gone:
            outcome = Outcome.LOST
        else:
            # Accepted from here on, even if the rest of the answer never arrives.
            assert answer.status in (303, 422), f"the form was answered {answer.status}"
            outcome = Outcome.ACCEPTED if answer.status == 303 else Outcome.REFUSED
        self.tries.append(Try(form.served_at, yes, outcome))
        if outcome is not Outcome.LOST:
            self._read(answer)
        return outcome

    def _ask(self, method: str, body: str | None) -> HTTPResponse:
        """Send it; the answer's head. Raises Gone."""
        headers = {"Cookie": self.cookie, "Accept-Language": "nb"}
        if body is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        try:
            if self._connection is None:
                self._connection = HTTPConnection("127.0.0.1", self.port, timeout=_PATIENCE)
            self._connection.request(method, "/preferences", body, headers)
            return self._connection.getresponse()
        except TimeoutError:
            raise AssertionError("the site hangs") from None
        except (OSError, HTTPException) as error:
            self.hang_up()
            raise Gone from error

    def _read(self, answer: HTTPResponse) -> None:
        try:
            answer.read()
        except (OSError, HTTPException):
            self.hang_up()

    def hang_up(self) -> None:
        """Close the connection; the next question opens another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class Crowd:
    """People who all do so at once, each in a thread."""

    def __init__(self, people: Sequence[Person]):
        self.people = people
        self._stop = threading.Event()
        self._failures: list[BaseException] = []
        self._threads = [threading.Thread(target=self._live, args=(one,)) for one in people]

    def count(self, outcome: Outcome) -> int:
        """How many tries ended so until now."""
        return sum(one.outcome is outcome for person in self.people for one in person.tries)

    def check(self) -> None:
        """Raise what went wrong in a thread."""
        if self._failures:
            raise self._failures[0]

    @contextmanager
    def deciding(self) -> Iterator[None]:
        """They begin, and stop when the block ends."""
        for thread in self._threads:
            thread.start()
        try:
            yield
        finally:
            self._stop.set()
            for thread in self._threads:
                thread.join()

    def _live(self, person: Person) -> None:
        try:
            while not self._stop.is_set():
                person.change_their_mind()
        except BaseException as error:
            self._failures.append(error)
        finally:
            person.hang_up()


def waited_for(done: Callable[[], bool], seconds: float, crowd: Crowd) -> bool:
    """Whether it came to be within that time. Raises what went wrong for the crowd meanwhile."""
    until = time.monotonic() + seconds
    while not done():
        crowd.check()
        if time.monotonic() > until:
            return False
        time.sleep(0.01)
    return True
