"""What entries of the ledger are called, for the person they are about."""

from __future__ import annotations

import pytest
from flask import Flask

from domain.ledger.schemas import SCHEMAS

# About nobody: these stand in no person's history.
SITES_OWN = ("notice", "retention", "vault", "log", "key", "campaign")
OF_A_PERSON = [kind for kind in SCHEMAS if kind.partition(".")[0] not in SITES_OWN]
TITLE = "{%% import 'macros/entries.html' as entries with context %%}{{ entries.title(%r, 'X') }}"


@pytest.mark.requirement(89)
@pytest.mark.parametrize("kind", OF_A_PERSON)
def test_every_entry_about_a_person_has_words(app: Flask, kind: str) -> None:
    """None is shown by its code."""
    with app.test_request_context("/?lang=en"):
        said = str(app.jinja_env.from_string(TITLE % kind).render()).strip()
    assert said
    assert kind not in said
