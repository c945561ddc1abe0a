"""What a visitor's browser keeps of their choice, and the section that asks for it.

Two cookies (blueprints/site/cookies.py lists them). `choice` is the signed choice itself.
`counting` is a random mark that stands there only while the visitor says yes to analytics: its
hash finds the key that this browser's pseudonyms are made with, and a no takes both away. Nobody
is asked who is signed in: then the account's decision counts.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, cast
from uuid import UUID

from flask import Response, after_this_request, g, request
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from domain.analytics import usage
from domain.consent import presentations, visitors
from domain.consent.decisions import DecisionState
from domain.consent.errors import NoNotice
from domain.consent.permission import permitted
from domain.consent.presentations import Shown
from domain.consent.purposes import PurposeRegister
from domain.consent.visitors import Answer, Choice, Decided
from domain.dates import local_day
from domain.identity import limits
from domain.identity.errors import TooManyTries
from domain.identity.limits import LimitKind
from extensions import (
    came_from,
    client_ip,
    current_user,
    database,
    locale,
    now,
    path_here,
    reading,
    settings,
    signal,
    transaction,
)

CHOICE, COUNTING = "choice", "counting"
# The pages that ask. Every page leads to /consent, where everybody can choose at any time.
ASKING = frozenset({"site.front", "site.tips", "site.tip"})
# So long after it was made a page says of a choice that it is saved.
_JUST = timedelta(seconds=30)
_MARK = re.compile(r"[A-Za-z0-9_-]{32}")


@dataclass(frozen=True)
class Asked:
    """The section: what it shows, the token of that, and the page that it comes back to."""

    content: Mapping[str, Any]
    token: str
    back: str


def cookie_name(name: str) -> str:
    """What a cookie is called here: over HTTPS no other host can have set it."""
    return f"__Host-{name}" if settings().secure else name


def choice() -> Choice | None:
    """What was chosen in this browser; None where nothing was, or what it brought is not ours."""
    if "choice" not in g:
        sealed = request.cookies.get(cookie_name(CHOICE))
        g.choice = Choice.open(settings().keys, sealed, at=now()) if sealed else None
    return cast("Choice | None", g.choice)


def standing() -> Choice | None:
    """`choice`, but for a yes whose mark or key is gone: it was ended, and what brought it back is
    an older copy of this browser's cookies. Whoever says yes once more says it anew."""
    made, mark = choice(), counting_token()
    if made is None or usage.PURPOSE not in made.yes(at=now()):
        return made
    if mark and usage.has_key(database(), mark):
        return made
    others = {name: one for name, one in made.answers.items() if name != usage.PURPOSE}
    return replace(made, answers=others)


def counting_token() -> str | None:
    """This browser's mark; None where it has none."""
    mark = request.cookies.get(cookie_name(COUNTING), "")
    return mark if _MARK.fullmatch(mark) else None


def register() -> PurposeRegister:
    """The purposes as they are today."""
    loaded: PurposeRegister = database().info["purposes"]
    return loaded.on(local_day(now()))


def answers() -> dict[str, Answer]:
    """What was answered in this browser about the purposes as they are today."""
    chosen, here, at = standing(), register(), now()
    found = {one: chosen.answered(here, one, at=at) for one in chosen.answers} if chosen else {}
    return {purpose_id: answer for purpose_id, answer in found.items() if answer is not None}


def asks_anything() -> bool:
    """Whether there is anything that visitors can choose: without analytics the site stores only
    what is necessary, and asks nobody (requirement 20)."""
    return bool(visitors.asked(register()))


def asked() -> Asked | None:
    """What the section of this page asks; None where it is no page that asks, and where there is
    nothing to ask."""
    return asked_from(request.path) if request.endpoint in ASKING else None


def saved() -> bool:
    """Whether what this browser chose was chosen right now, so that the page that asked says so: it
    has no session to remember it in."""
    if request.endpoint not in ASKING or current_user.is_authenticated:
        return False
    chosen = choice()
    return chosen is not None and just_now(chosen, at=now())


def just_now(chosen: Choice, *, at: datetime) -> bool:
    """Whether it was made so shortly ago that a page still says that it is saved."""
    return timedelta() <= at - chosen.at < _JUST


def asked_from(page: str) -> Asked | None:
    """What a section asks that comes back to this page; None where the account answers or the
    browser's signal does, and where everything was answered."""
    if signal() or current_user.is_authenticated:
        return None
    if not visitors.unanswered(register(), choice(), at=now()):
        return None
    try:
        return ask(page)
    except (NoNotice, SQLAlchemyError):  # the page works without
        return None


def ask(back: str) -> Asked:
    """The section as it is now. Raises NoNotice."""
    at = now()
    with reading() as session:
        document = presentations.current(session, visitors.SURFACE, locale(), at=at)
        token = presentations.token(session, document, at=at)
    return Asked(document.content, token, back)


def back() -> str | None:
    """The page that a form of ours names as its own, as it was: with what stood behind the
    question mark, which the browser tells and no page repeats. None where it names none."""
    target = path_here(request.form.get("next", ""))
    came = came_from()
    here = f"{came.scheme}://{came.netloc}".lower() == settings().origin
    return f"{target}?{came.query}" if here and came.query and came.path == target else target


def answer(choices: Mapping[str, bool], shown: Shown, *, at: datetime) -> None:
    """Record what a visitor chose, and let the browser keep it. Raises StalePresentation, and
    TooManyTries for a yes: a no is never refused, and said too often it just leaves no entry."""
    before, signalled = standing(), signal()
    decided = visitors.decide(register(), before, choices, shown, signal=signalled, at=at)
    written = not decided or _spared(decided, at)
    with transaction() as session:
        made = visitors.record(
            session, before, decided, shown, signal=signalled, written=written, at=at
        )
        mark = _count(session, made, decided, at=at)
    _keep(made, mark, at=at)


def follow(
    surface_id: str, token: str | None, choices: Mapping[str, bool], *, at: datetime
) -> None:
    """What was not ticked on a form of the account ends this browser's yes to it as well: the
    last thing that was said here is no. A yes there changes nothing here."""
    before = standing()
    yes = set(before.yes(at=at)) if before else set()
    if before is None or not any(not choices.get(one, False) for one in yes):
        return
    with reading() as session:
        shown = presentations.shown(session, surface_id, token, at=at)
    there = {one["id"] for one in shown.document.content["purposes"]}
    with transaction() as session:
        no = {one for one in yes & there if not choices.get(one, False)}
        made = visitors.end(session, before, no, shown, at=at)
        mark = _count(session, made, (), at=at)
    _keep(made, mark, at=at)


def account_says(subject_id: UUID, *, at: datetime) -> dict[str, bool]:
    """For each purpose that visitors are asked about, whether the account permits it here: a yes
    that was said with no signal does not count in a browser that sends one."""
    with reading() as session:
        despite = not signal() or usage.despite_signal(session, subject_id)
        return {
            purpose.id: bool(permitted(session, subject_id, purpose.id, at=at)) and despite
            for purpose in visitors.asked(register())
        }


def overruled(subject_id: UUID, *, at: datetime) -> Iterable[tuple[str, bool]]:
    """The names of the purposes about which this browser said another thing than the account,
    each with what the account says: that counts while its owner is signed in."""
    said = answers()
    for purpose_id, yes in account_says(subject_id, at=at).items() if said else ():
        if purpose_id in said and said[purpose_id].permits(signal=signal(), at=at) != yes:
            yield register().purposes[purpose_id].text[locale()].name, yes


def _spared(decided: Iterable[Decided], at: datetime) -> bool:
    """Whether there may be another entry from here. Raises TooManyTries where a yes needs one."""
    try:
        with transaction() as session:
            limits.spend(session, LimitKind.CHOICE, ip=client_ip(), at=at)
    except TooManyTries:
        if any(state.permits for _, state, _ in decided):
            raise
        return False
    return True


def _count(
    session: Session, made: Choice, decided: Iterable[Decided], *, at: datetime
) -> str | None:
    """Begin or end to count for this browser, as it now says; return the mark that it keeps. A
    yes after a no gets a mark of its own: nobody can have left one there."""
    mark = counting_token()
    said = {purpose.id: state for purpose, state, _ in decided}
    if mark and said.get(usage.PURPOSE) is DecisionState.GIVEN:
        usage.end_browser(session, mark)
        mark = None
    answer = made.answers.get(usage.PURPOSE)
    if answer is None or answer.expires_at is None or usage.PURPOSE not in made.yes(at=at):
        if mark:
            usage.end_browser(session, mark)
        return None
    mark = mark or secrets.token_urlsafe(24)
    usage.begin(
        session,
        browser=mark,
        despite_signal=answer.despite_signal,
        expires_at=answer.expires_at,
        at=at,
    )
    return mark


def _keep(made: Choice, mark: str | None, *, at: datetime) -> None:
    """Set the cookies with the answer to this request; the mark goes where there is none."""
    g.choice = made
    answer = made.answers.get(usage.PURPOSE)
    ends = answer.expires_at if answer and answer.expires_at else made.expires_at

    @after_this_request
    def keep(response: Response) -> Response:
        _set(response, CHOICE, made.seal(settings().keys), made.expires_at - at)
        if mark:
            _set(response, COUNTING, mark, ends - at)
        elif cookie_name(COUNTING) in request.cookies:
            _delete(response, COUNTING)
        return response


def _set(response: Response, name: str, value: str, lasts: timedelta) -> None:
    response.set_cookie(
        cookie_name(name),
        value,
        max_age=lasts,
        secure=settings().secure,
        httponly=True,
        samesite="Lax",
    )


def _delete(response: Response, name: str) -> None:
    response.delete_cookie(
        cookie_name(name), secure=settings().secure, httponly=True, samesite="Lax"
    )
