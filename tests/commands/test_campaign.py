"""`flask campaign` and `flask staff`: newsletters from files to the last mail, and who may."""

from __future__ import annotations

import dataclasses
import email
from email.policy import default
from pathlib import Path
from uuid import UUID

import pytest
from click.testing import Result
from flask import Flask

from database import Database
from domain.identity import accounts
from domain.locales import LOCALES
from domain.marketing import campaigns
from extensions import now
from tests.domain.consenting import decide
from tests.domain.sendings import counted, customer
from tests.support.mails import Mails

pytestmark = pytest.mark.usefixtures("clock")

SAID = "# Nye tips\n\nLes [mer](/tips/grot).\n"


def run(app: Flask, *arguments: str, typed: str = "") -> Result:
    """What the operator types."""
    return app.test_cli_runner().invoke(args=[*arguments], input=typed)


def files(folder: Path, *locales: str, said: str = SAID) -> list[str]:
    """A newsletter as somebody wrote it."""
    for locale in locales:
        (folder / f"brev.{locale}.md").write_text(said, "utf-8")
    return [str(folder / f"brev.{locale}.md") for locale in locales]


def made(app: Flask, folder: Path, *locales: str) -> str:
    """A newsletter of such files; its number."""
    done = run(app, "campaign", "new", *files(folder, *(locales or LOCALES)))
    assert done.exit_code == 0, done.output
    return done.stdout.splitlines()[0]


@pytest.mark.requirement(37)
def test_a_newsletter_from_files_to_the_last_mail(
    app: Flask, database: Database, mails: Mails, tmp_path: Path
) -> None:
    """Shown, looked at as a mail, sent with a bar to those who say yes, and over. Whoever changed
    their mind when it was on its way gets none; nobody gets it twice."""
    with database.transaction() as session:
        people = {name: customer(session, name) for name in ("ane", "bo", "eli")}
    number = made(app, tmp_path)
    assert "draft" in run(app, "campaign", "show", number).output
    raw = run(app, "campaign", "preview", number, "nn").stdout_bytes
    mail = email.message_from_bytes(raw, policy=default)
    assert (mail["Subject"], mail["Content-Language"]) == ("Nye tips", "nn")
    refused = run(app, "campaign", "send", number, typed="n\n")
    assert refused.exit_code == 1
    assert "Send it to 3 people?" in refused.output
    assert mails.to("ane@kunde.example") == []
    with database.transaction() as session:
        campaigns.start(session, UUID(number), at=now())
        decide(session, people["bo"], marketing=False)
    sent = run(app, "campaign", "send", number)
    assert sent.exit_code == 0, sent.output
    assert sent.stdout == "finished: 2 sent\n"
    assert "of 3 mails" in sent.stderr
    assert [len(mails.to(f"{name}@kunde.example")) for name in people] == [1, 0, 1]
    again = run(app, "campaign", "send", number)
    assert again.exit_code == 1
    assert "it is finished" in again.output
    assert counted(database, UUID(number)) == {"sent": 2}
    assert f"{number}  finished   2 of 3  Nye tips" in run(app, "campaign", "list").output
    for one in ("show", "list"):
        assert "kunde.example" not in run(app, "campaign", one, *[number][: one == "show"]).output


@pytest.mark.parametrize("backend", ["sqlite"])
def test_one_is_paused_goes_on_and_is_stopped(
    app: Flask, database: Database, tmp_path: Path
) -> None:
    """By hand, and what cannot be done is said."""
    with database.transaction() as session:
        customer(session, "ane")
    number = made(app, tmp_path)
    early = run(app, "campaign", "pause", number)
    assert (early.exit_code, "is draft" in early.output) == (1, True)
    with database.transaction() as session:
        campaigns.start(session, UUID(number), at=now())
    assert run(app, "campaign", "pause", number).output == "paused\n"
    assert "it is paused" in run(app, "campaign", "send", number).output
    assert run(app, "campaign", "resume", number).output == "sending\n"
    assert run(app, "campaign", "cancel", number).output == "cancelled\n"
    assert run(app, "campaign", "send", number).exit_code == 1
    other = made(app, tmp_path)
    assert run(app, "campaign", "send", other, "--yes").stdout == "finished: 1 sent\n"
    unknown = run(app, "campaign", "cancel", "0" * 32)
    assert (unknown.exit_code, "no newsletter" in unknown.output) == (1, True)


@pytest.mark.parametrize("backend", ["sqlite"])
def test_what_is_not_complete_is_refused_before_anybody_gets_it(
    app: Flask, database: Database, mails: Mails, tmp_path: Path
) -> None:
    """One language only; a file of no language; an image; and no sender in the settings."""
    with database.transaction() as session:
        customer(session, "ane")
    number = made(app, tmp_path, "nb")
    refused = run(app, "campaign", "send", number, "--yes")
    assert refused.exit_code == 1
    for lacking in ("subject (nn)", "words (nn)", "subject (en)", "words (en)"):
        assert lacking in refused.output
        assert f"missing: {lacking}" in run(app, "campaign", "show", number).output
    wrong = tmp_path / "brev.md"
    wrong.write_text(SAID, "utf-8")
    assert "its language" in run(app, "campaign", "new", str(wrong)).output
    (image,) = files(tmp_path, "nb", said="Nye tips\n\n![x](https://a.example/x.png)")
    assert "an image" in run(app, "campaign", "new", image).output
    complete = made(app, tmp_path)
    site = app.extensions["settings"]
    app.extensions.update(settings=dataclasses.replace(site, marketing_from=None), sender=None)
    for arguments in (("send", complete, "--yes"), ("preview", complete, "nb")):
        without = run(app, "campaign", *arguments)
        assert (without.exit_code, "MARKETING_FROM" in without.output) == (1, True)
    assert mails.to("ane@kunde.example") == []


@pytest.mark.requirement(81)
@pytest.mark.parametrize("backend", ["sqlite"])
def test_who_works_here_is_let_in_and_out(
    app: Flask, database: Database, mails: Mails, tmp_path: Path
) -> None:
    """By an address that its owner has confirmed; and a test goes to nobody else."""
    with database.transaction() as session:
        customer(session, "ane")
    number, ane = made(app, tmp_path, "nb", "en"), "ane@kunde.example\n"
    assert run(app, "staff", "list").output == "nobody\n"
    stranger = run(app, "campaign", "test", number, typed=ane)
    assert (stranger.exit_code, "those who work here" in stranger.output) == (1, True)
    assert run(app, "staff", "grant", typed=ane).stdout == "granted\n"
    assert run(app, "staff", "list").stdout == ane
    assert run(app, "campaign", "test", number, typed=ane).stdout == "sent 2\n"
    assert len(mails.to("ane@kunde.example")) == 2
    assert run(app, "staff", "revoke", typed=ane).stdout == "revoked\n"
    assert run(app, "staff", "list").output == "nobody\n"
    assert run(app, "staff", "grant", typed="nobody@kunde.example\n").exit_code == 1
    with database.transaction() as session:
        account = accounts.find(session, "ane@kunde.example")
        assert account
        assert not account.staff
