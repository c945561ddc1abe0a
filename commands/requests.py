"""`flask requests`: the operator's staff see what is due, read a case, and answer it.

Addresses and words come in by standard input and are never echoed: a shell keeps its history.
What staff look at is entered in the ledger, in the person's own entries (requirement 81).
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click
from flask.cli import AppGroup
from sqlalchemy.orm import Session

from domain.consent.errors import UnknownPurpose
from domain.dates import local_day, timestamp
from domain.identity.errors import InvalidAddress
from domain.locales import DEFAULT, LOCALES
from domain.marketing import handing
from domain.rights import cases, intake, requests, restricting
from domain.rights.errors import RightsError
from domain.rights.models import DataSubjectRequest
from domain.rights.requests import RequestKind
from domain.subjects import service as subjects
from extensions import database, now, reading, settings, transaction

MARKETING = "marketing"
VIEWING = ("answering", "verifying", "security", "legal_claim", "audit")
# What takes effect by itself once somebody knows that it comes from the person.
_AT_ONCE = (RequestKind.RESTRICTION, RequestKind.OBJECTION)

group = AppGroup("requests", help="Requests under the GDPR, and questions.")


@group.command("list")
@click.option("--open", "only_open", is_flag=True, help="Only what somebody has to do.")
@click.option("--overdue", is_flag=True, help="Only what should have been answered.")
@click.option("--limit", default=100, show_default=True, help="At most this many.")
def show_all(only_open: bool, overdue: bool, limit: int) -> None:
    """Show requests, the most urgent first; without an option the newest. Nobody is named."""
    today = local_day(now())
    with reading() as session:
        if overdue:
            found = [one for one in requests.open_ones(session, due_by=today) if one.due_on < today]
        elif only_open:
            found = list(requests.open_ones(session, limit=limit))
        else:
            found = list(requests.newest(session, limit=limit))
    for one in found[:limit]:
        click.echo(
            f"{one.reference}  {one.kind:<13}  {one.state:<9}  due {one.due_on}"
            f"  received {local_day(one.received_at)}{_remark(one, overdue=one.due_on < today)}"
        )


@group.command("show")
@click.argument("reference")
@click.option("--purpose", type=click.Choice(VIEWING), required=True, help="Why you look.")
@click.option("--contact", is_flag=True, help="Show how to reach the person, too.")
def show(reference: str, purpose: str, contact: bool) -> None:
    """Show a case with what was written in it, and enter that you looked, and why."""
    with _case(reference) as (session, case):
        reached = requests.contact(session, case.subject_id) if case.subject_id else None
        texts = cases.texts(session, case)
        if case.subject_id is not None:
            seen = ["requests", "case_texts"]
            if contact and reached is not None:
                seen.append("account" if reached.has_account else "correspondent")
            data = {"holdings": seen, "purpose": purpose}
            subjects.record(session, case.subject_id, "staff.viewed", data, at=now())
    for name, value in _facts(case):
        click.echo(f"{name:<9}  {value}")
    if contact and reached is not None:
        click.echo(f"contact    {reached.email}{f', {reached.name}' if reached.name else ''}")
    for text in texts:
        click.echo(f"\n{text.author}, {timestamp(text.written_at)}:\n{text.words}")


@group.command("extend")
@click.argument("reference")
@click.option("--reason", type=click.Choice(cases.EXTENSIONS), required=True)
def extend(reference: str, reason: str) -> None:
    """Take three months from receipt; the person is told why, in words from standard input."""
    words = _words()
    with _case(reference) as (session, case):
        cases.extend(session, case, reason, words, at=now())
    click.echo(f"{case.reference} is due on {case.due_on}; the person has been told")


@group.command("refuse")
@click.argument("reference")
@click.option("--reason", type=click.Choice(cases.REFUSALS), required=True)
def refuse(reference: str, reason: str) -> None:
    """Refuse a request; the person is told why, in words from standard input, and where to
    complain."""
    words = _words()
    with _case(reference) as (session, case):
        cases.refuse(session, case, reason, words, at=now())
    click.echo(f"{case.reference} is refused; the person has been told")


@group.command("answer")
@click.argument("reference")
def answer(reference: str) -> None:
    """Answer a question or an objection in words from standard input, and close it."""
    words = _words()
    with _case(reference) as (session, case):
        cases.answer(session, case, words, at=now())
    click.echo(f"{case.reference} is answered; the person has been told")


@group.command("lift")
@click.argument("reference")
def lift(reference: str) -> None:
    """Lift the restriction that this request placed, a day after the person was told so.

    Nothing is lifted while that mail has not been sent. Entering a restriction anew keeps it.
    """
    with _case(reference) as (session, case):
        if case.subject_id is None or case.kind != RequestKind.RESTRICTION.value:
            raise click.ClickException(f"{case.reference} restricts nobody")
        until = restricting.announce(session, case, at=now())
        if until is None:
            raise click.ClickException("nothing is restricted any more")
    click.echo(f"the person is told now, and the restriction is lifted at {timestamp(until)}")


@group.command("place")
@click.argument("kind", type=click.Choice([kind.value for kind in RequestKind]))
@click.option("--about-purpose", help="What an objection is to, by its id.")
@click.option("--locale", type=click.Choice(LOCALES), default=DEFAULT, show_default=True)
@click.option("--verified", is_flag=True, help="You know that it comes from the person.")
def place(kind: str, about_purpose: str | None, locale: str, verified: bool) -> None:
    """Enter a request that came by letter or telephone. Standard input has the e-mail address in
    its first line, and what was said in the rest.

    The person gets a link to confirm it. With --verified a restriction or an objection takes
    effect at once; the rest needs a step of the person's own, and the link with it.
    """
    asked = RequestKind(kind)
    if verified and asked not in _AT_ONCE:
        raise click.UsageError(f"--verified does nothing for {kind}: the person gets a link")
    if asked is RequestKind.OBJECTION and about_purpose is None:
        raise click.UsageError("an objection is to a purpose: give --about-purpose")
    email, _, words = _words().partition("\n")
    payload: dict[str, Any] = {"kind": kind, "email": email.strip(), "locale": locale}
    payload |= {"about_purpose": about_purpose, "words": words.strip()}
    with _explained(), transaction() as session:
        case = _place(session, asked, payload, verified=verified)
    _wait(case)
    click.echo(f"{case.reference} is {case.state} and due on {case.due_on}")


@group.command("withdraw-consent")
@click.option("--purpose", "purpose_id", default=MARKETING, show_default=True)
def withdraw_consent(purpose_id: str) -> None:
    """End a consent for somebody who wrote that they want no more. Standard input has their
    e-mail address.

    It is entered as an objection, since the person saw no form of ours; it takes effect at once.
    """
    payload = {"email": _words(), "locale": DEFAULT, "about_purpose": purpose_id}
    with _explained(), transaction() as session:
        case = _place(session, RequestKind.OBJECTION, payload, verified=True)
    _wait(case)
    click.echo(f"{case.reference} is {case.state}")


def _place(
    session: Session, kind: RequestKind, payload: dict[str, Any], *, verified: bool
) -> DataSubjectRequest:
    at = now()
    if kind is RequestKind.ENQUIRY:
        return intake.take_enquiry(session, payload, at, channel="staff")
    subject_id = intake.known(session, payload["email"])
    if subject_id is None:
        raise click.ClickException("nobody is known by that address, and nothing was entered")
    if not verified:
        lifetime = settings().link_lifetime
        placed = intake.take_request(session, payload, lifetime=lifetime, at=at, channel="staff")
        if placed is None:
            raise click.ClickException("the person cannot be reached by mail")
        return placed
    about = payload["about_purpose"]
    case = requests.receive(session, subject_id, kind, channel="staff", at=at, about_purpose=about)
    cases.write(session, case, "person", payload.get("words", ""), at=at)
    requests.verify(session, case, channel="staff", at=at)
    cases.execute(session, case, at=at)
    return case


def _wait(case: DataSubjectRequest) -> None:
    """A restriction or an objection may stop newsletters: the person can be told that none comes
    any more when the one that is just being handed over has left."""
    if case.subject_id is not None and not handing.wait(database(), case.subject_id, at=now()):
        click.echo("one newsletter was already on its way, and may still arrive", err=True)


@contextmanager
def _case(reference: str) -> Iterator[tuple[Session, DataSubjectRequest]]:
    """The case in a transaction of its own, its person locked. Ends the command with a sentence
    where there is none, or where it does not allow what is done."""
    with _explained(), transaction() as session:
        found = requests.by_reference(session, reference.strip().upper())
        case = requests.take(session, found.id) if found else None
        if case is None:
            raise click.ClickException("there is no request with that reference")
        yield session, case


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except (RightsError, UnknownPurpose, InvalidAddress) as error:
        raise click.ClickException(str(error)) from error


def _facts(case: DataSubjectRequest) -> Iterator[tuple[str, object]]:
    """What stands in the row, in the order in which it is read."""
    yield "reference", case.reference
    yield "kind", case.kind + (f", about {case.about_purpose}" if case.about_purpose else "")
    yield "state", case.state + (f", {case.reason}" if case.reason else "")
    yield "received", f"{timestamp(case.received_at)}, by {case.channel}"
    yield "due", case.due_on
    if case.subject_id is None:
        yield "person", "erased"


def _remark(case: DataSubjectRequest, *, overdue: bool) -> str:
    if case.state not in requests.OPEN:
        return ""
    late = "  OVERDUE" if overdue else ""
    return late + ("  waits for the person" if cases.waits_for_person(case) else "")


def _words() -> str:
    """Standard input, whole."""
    return sys.stdin.read().strip()
