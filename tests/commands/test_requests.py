"""`flask requests`: staff see what is due, read a case for a reason, and answer it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
import time_machine
from click.testing import Result
from flask import Flask
from structlog.testing import capture_logs

from database import Database
from domain.consent.permission import permitted
from domain.rights import cases, intake, requests
from domain.rights.models import DataSubjectRequest
from domain.rights.requests import RequestKind
from domain.subjects import service as subjects
from extensions import now
from tests.domain.asking import told, verified
from tests.support.browser import Browser
from tests.support.mails import Mails, text
from tests.support.people import INGRID, Guest, become_customer

WRITER = "per@brev.example"
QUESTION = "Hvor lenge har dere adressen min?"
Run = Callable[..., Result]


@pytest.fixture
def run(app: Flask, clock: time_machine.Traveller) -> Run:
    """Run the command, with something on its standard input; nothing personal is logged."""

    def run(*arguments: str, given: str = "", code: int = 0) -> Result:
        with capture_logs() as logged:
            done = app.test_cli_runner().invoke(args=["requests", *arguments], input=given)
        assert done.exit_code == code, done.output
        for private in (WRITER, INGRID.email, QUESTION):
            assert private not in repr(logged)
        return done

    return run


@pytest.fixture
def case(database: Database, run: Run) -> DataSubjectRequest:
    """A question from somebody without an account."""
    with database.transaction() as session:
        return intake.take_enquiry(
            session, {"email": WRITER, "locale": "en", "words": QUESTION}, now()
        )


@pytest.mark.requirement(54)
def test_what_is_open_is_listed_with_its_day(
    run: Run, case: DataSubjectRequest, database: Database, clock: time_machine.Traveller
) -> None:
    """The most urgent first; what is overdue says so, and what waits for the person's own step;
    nobody is named."""
    with database.transaction() as session:
        assert case.subject_id is not None
        kind = RequestKind.ACCESS
        waiting = verified(session, case.subject_id, kind, at=now() + timedelta(days=3))
        done = requests.receive(
            session, case.subject_id, RequestKind.ENQUIRY, channel="form", at=now()
        )
        cases.answer(session, done, "Ja.", at=now())
    lines = run("list", "--open").output.splitlines()
    assert [line.split()[0] for line in lines] == [case.reference, waiting.reference]
    assert "due 2026-12-22" in lines[0]
    assert lines[1].endswith("waits for the person")
    assert run("list", "--overdue").output == ""
    clock.shift(timedelta(days=31))
    (line,) = run("list", "--overdue").output.splitlines()
    assert case.reference in line
    assert line.endswith("OVERDUE")
    assert done.reference in run("list").output
    assert WRITER not in run("list").output


@pytest.mark.requirement(81)
def test_a_case_is_read_for_a_reason_that_is_kept(
    run: Run, case: DataSubjectRequest, database: Database
) -> None:
    """Without one it is not shown; the person's entries say that staff looked, and at what."""
    refused = run("show", case.reference, code=2).output
    assert "--purpose" in refused
    assert QUESTION not in refused
    assert "curiosity" in run("show", case.reference, "--purpose", "curiosity", code=2).output
    shown = run("show", case.reference.lower(), "--purpose", "answering").output
    assert QUESTION in shown
    assert WRITER not in shown
    assert WRITER in run("show", case.reference, "--purpose", "verifying", "--contact").output
    with database.reading() as session:
        assert case.subject_id is not None
        entries = list(subjects.entries(session, case.subject_id))
    assert [(one.type, one.data) for one in entries[1:]] == [
        ("staff.viewed", {"holdings": ["requests", "case_texts"], "purpose": "answering"}),
        (
            "staff.viewed",
            {"holdings": ["requests", "case_texts", "correspondent"], "purpose": "verifying"},
        ),
    ]


@pytest.mark.requirement(54)
def test_staff_answer_extend_and_refuse_in_words(
    run: Run, case: DataSubjectRequest, database: Database, mails: Mails
) -> None:
    """The words come from standard input, and go to the person."""
    reason = ("--reason", "complexity")
    assert "2027-02-22" in run("extend", case.reference, *reason, given="Vi leter.\n").output
    assert "Vi leter." in text(mails.last(WRITER))
    run("answer", case.reference, given="Så lenge du vil.\n")
    assert "Så lenge du vil." in text(mails.last(WRITER))
    with database.transaction() as session:
        assert case.subject_id is not None
        other = verified(session, case.subject_id, RequestKind.ACCESS, at=now())
    run("refuse", other.reference, "--reason", "excessive", given="Det er den tolvte.\n")
    mail = text(mails.last(WRITER))
    assert "Det er den tolvte." in mail
    assert "datatilsynet.no" in mail


@pytest.mark.parametrize(
    ("arguments", "given", "words"),
    [
        (("show", "BBBB-2222", "--purpose", "audit"), "", "no request with that reference"),
        (("answer", "no reference at all"), "Ja.", "no request with that reference"),
        (("answer", "{case}"), "  ", "nothing was written"),
        (("refuse", "{case}", "--reason", "excessive"), "", "reason in words"),
        (("extend", "{case}", "--reason", "number"), "\n", "reason in words"),
        (("lift", "{case}"), "", "restricts nobody"),
        (("place", "access"), "ingen@brev.example", "nobody is known by that address"),
        (("place", "enquiry"), "not an address\nHei", "no e-mail address"),
        (
            ("place", "objection", "--about-purpose", "nonsense"),
            f"{WRITER}\n",
            "no such purpose",
        ),
        (("withdraw-consent", "--purpose", "nonsense"), WRITER, "no such purpose"),
    ],
)
def test_what_cannot_be_done_ends_with_a_sentence(
    run: Run,
    case: DataSubjectRequest,
    database: Database,
    arguments: tuple[str, ...],
    given: str,
    words: str,
) -> None:
    """Exit 1, one line that says why, and nothing done."""
    filled = [one.format(case=case.reference) for one in arguments]
    assert words in run(*filled, given=given, code=1).output
    with database.reading() as session:
        assert case.subject_id is not None
        assert told(session, case.subject_id) == ["request.received"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("refuse", "{case}"), "--reason"),
        (("refuse", "{case}", "--reason", "unverified"), "unverified"),
        (("extend", "{case}", "--reason", "excessive"), "excessive"),
        (("place", "objection"), "--about-purpose"),
        (("place", "erasure", "--verified"), "the person gets a link"),
    ],
)
def test_a_command_that_lacks_something_says_what(
    run: Run, case: DataSubjectRequest, arguments: tuple[str, ...], words: str
) -> None:
    """Exit 2, before anything is looked up."""
    filled = [one.format(case=case.reference) for one in arguments]
    assert words in run(*filled, given="Fordi.", code=2).output


def test_too_late_and_already_closed_are_said(
    run: Run, case: DataSubjectRequest, clock: time_machine.Traveller
) -> None:
    """The first month is over; the case was answered."""
    clock.shift(timedelta(days=31))
    extended = ("extend", case.reference, "--reason", "number")
    assert "cannot be extended" in run(*extended, given="Mange.", code=1).output
    run("answer", case.reference, given="Ja.")
    assert "is fulfilled" in run("answer", case.reference, given="Jo.", code=1).output


@pytest.mark.requirement(53)
def test_a_letter_becomes_a_request_that_the_person_confirms(
    run: Run,
    visitor: Callable[..., Browser],
    mails: Mails,
    database: Database,
    clock: time_machine.Traveller,
) -> None:
    """A link goes to the address that we have; by telephone, and known, a restriction takes effect
    at once. It is lifted a day after the person was told."""
    become_customer(visitor(), mails)
    mails.deliver()
    output = run("place", "access", given=f"{INGRID.email}\nPr. brev").output
    assert "received" in output
    assert "/requests/verify/" in text(mails.last(INGRID.email))
    placed = run("place", "restriction", "--verified", given=f"{INGRID.email}\n").output
    reference, _, _ = placed.partition(" ")
    assert "fulfilled" in placed
    with database.reading() as session:
        found = requests.by_reference(session, reference)
        assert found is not None
        assert found.subject_id is not None
        assert (found.channel, found.state) == ("staff", "fulfilled")
        assert subjects.get(session, found.subject_id).restricted_at
    run("lift", reference)
    before = str(mails.last(INGRID.email)["Subject"])
    with database.reading() as session:
        assert subjects.get(session, found.subject_id).restricted_at, "not yet"
    clock.shift(timedelta(days=1, minutes=1))
    assert str(mails.last(INGRID.email)["Subject"]) != before
    with database.reading() as session:
        assert subjects.get(session, found.subject_id).restricted_at is None
    assert "nothing is restricted" in run("lift", reference, code=1).output


@pytest.mark.requirement(36, 60)
def test_a_withdrawal_that_came_by_mail_takes_effect_at_once(
    run: Run, visitor: Callable[..., Browser], mails: Mails, database: Database
) -> None:
    """Whoever writes to support that they want no more has it no more, and gets the receipts."""
    guest = Guest(choices={"marketing": True})
    become_customer(visitor(), mails, guest)
    assert "fulfilled" in run("withdraw-consent", given=f" {guest.email.upper()}\n").output
    with database.reading() as session:
        who = intake.known(session, guest.email)
        assert who is not None
        assert not permitted(session, who, "marketing", at=now())
        types = told(session, who)
    assert types[-2:] == ["consent.invalidated", "request.fulfilled"]
    assert "objection.made" in types
    assert list(mails.last(guest.email).iter_attachments())
