"""`flask notices publish`, as an operator sees it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
import time_machine
from click.testing import Result
from flask import Flask

from app import create_app
from database import Database
from domain.consent import notices
from settings import Settings


@pytest.fixture
def site(settings: Settings, database: Database, tmp_path: Path) -> Iterator[Flask]:
    """A site whose content can be spoilt, with nothing published."""
    content = Path(shutil.copytree(settings.content, tmp_path / "content"))
    app = create_app(replace(settings, content=content))
    yield app
    app.extensions["database"].close()


def publish(app: Flask) -> Result:
    """Run the command."""
    return app.test_cli_runner().invoke(args=["notices", "publish"])


def test_publishing_says_what_is_new_and_then_that_nothing_is(
    site: Flask, database: Database, clock: time_machine.Traveller
) -> None:
    """A line for each version; running it at every start does no harm."""
    first = publish(site)
    assert first.exit_code == 0, first.output
    days = ("2018-05-07 (nb)", "2026-11-22", "2026-11-23", "2026-11-24")
    for words in (*(f"privacy {day}" for day in days), "terms 2026-11-22"):
        assert f"published {words}" in first.output
    second = publish(site)
    assert (second.exit_code, second.output) == (0, "notices: all published\n")
    with database.reading() as session:
        published = [one.effective_on for one in notices.versions(session, "privacy")]
    assert published == [date.fromisoformat(day[:10]) for day in reversed(days)]


@pytest.mark.requirement(6)
def test_a_changed_file_ends_it_with_its_name(
    site: Flask, database: Database, clock: time_machine.Traveller
) -> None:
    """Exit 1, the file, what to do, and nothing published."""
    publish(site)
    content = site.extensions["settings"].content
    path = content / "notices/privacy/2026-11-22/nn.md"
    path.write_text("# Noko anna\n", "utf-8")
    shutil.copytree(path.parent, content / "notices/privacy/2026-12-01")
    result = publish(site)
    assert result.exit_code == 1
    assert str(path) in result.output
    assert "make a new version" in result.output
    with database.reading() as session:
        assert len(notices.versions(session, "privacy")) == 4


@pytest.mark.requirement(7)
def test_changed_purposes_without_a_new_notice_are_refused(
    site: Flask, settings: Settings, clock: time_machine.Traveller
) -> None:
    """Neither publishing nor the next start lets forms and notice say different things."""
    publish(site)
    content = site.extensions["settings"].content
    path = content / "purposes.toml"
    path.write_text(path.read_text("utf-8").replace("Høyst 24 timer.", "Høyst et år."), "utf-8")
    changed = create_app(replace(settings, content=content))
    result = publish(changed)
    changed.extensions["database"].close()
    assert result.exit_code == 1
    assert str(path) in result.output
    assert "make a new version of the notice" in result.output
