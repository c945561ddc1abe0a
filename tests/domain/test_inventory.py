"""The inventory: every table and column is somebody's to export and erase, or about nobody."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from flask import Flask, get_template_attribute
from sqlalchemy import inspect

from database import Database
from domain.consent.purposes import PurposeRegister
from domain.locales import LOCALES
from domain.rights import retention
from domain.rights.inventory import INVENTORY
from domain.rights.places import PLACES
from tests.domain.columns import COLUMNS

# Tables that no holding names, each with the reason.
ABOUT_NOBODY = {
    "ledger_entry": "facts about nobody, tied to a person only by entry_link",
    "ledger_pending": "ids of entries",
    **dict.fromkeys(("ledger_leaf", "ledger_tile", "ledger_state"), "the tree over entries"),
    **dict.fromkeys(("ledger_checkpoint", "ledger_cosignature"), "its signed sizes and roots"),
    **dict.fromkeys(("ledger_key", "ledger_key_end"), "the log's public keys"),
    "ledger_lease": "which process sequences",
    "presentation": "what everybody was shown",
    "notice_version": "what the operator published",
    "notice_telling": "how far the telling of it has come: one id, until it is over",
    **dict.fromkeys(("campaign", "campaign_text"), "newsletters, and how many got them"),
    "usage_month": "the site's keys of the months",
    "usage_week": "sums of five people or more",
    "vault_epoch": "which key-encryption keys there are",
    "retention_run": "how much went by each rule, as numbers",
    "alembic_version": "which migrations were run",
}
# Every table of theirs has a subject column that the person's id stands in, or leads there so.
ORDER = (
    *(("outbox_message", "account"), ("outbox_message", "correspondent")),
    *(("attempt", "account"), ("attempt", "correspondent")),
    *(("export_archive", "data_subject_request"), ("request_text", "data_subject_request")),
    *(("recipient_notice", "account"), ("recipient_notice", "correspondent")),
)


def schema(owner: Database) -> dict[str, set[str]]:
    """The columns of every table that is in the database."""
    found = inspect(owner.engine)
    return {
        table: {str(column["name"]) for column in found.get_columns(table)}
        for table in found.get_table_names()
    }


def forgotten(tables: Mapping[str, set[str]]) -> set[tuple[str, str]]:
    """What no holding answers for, and nobody says why."""
    held = {
        (table, column)
        for holding in INVENTORY
        for table, columns in holding.columns.items()
        for column in columns
    }
    there = {(table, one) for table, columns in tables.items() for one in columns}
    return {one for one in there - held if one[0] not in ABOUT_NOBODY}


@pytest.mark.requirement(56, 59)
def test_every_column_has_a_holding_or_a_reason(owner: Database) -> None:
    """Asked of a migrated database and not of the models: a new table or column is exported and
    erased, or says here why it need not be. No table has two holdings."""
    tables = schema(owner)
    assert forgotten(tables) == set()
    named = [table for holding in INVENTORY for table in holding.columns]
    assert len(named) == len(set(named))
    assert {*named, *ABOUT_NOBODY} == set(tables)
    for holding in INVENTORY:
        for table, columns in holding.columns.items():
            assert tables[table] == set(columns), table
    assert {table: set(told) for table, told in COLUMNS.items()} == {
        table: tables[table] for table in named
    }


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_a_column_that_nobody_thought_of_is_found(owner: Database) -> None:
    """The test above would fail of it: a table, and a column in a table that is known."""
    with owner.transaction() as session:
        session.connection().exec_driver_sql("ALTER TABLE account ADD COLUMN nickname TEXT")
        session.connection().exec_driver_sql("CREATE TABLE diary (page TEXT)")
    assert forgotten(schema(owner)) == {("account", "nickname"), ("diary", "page")}


@pytest.mark.requirement(1)
def test_every_holding_is_kept_for_a_purpose_and_for_a_time(register: PurposeRegister) -> None:
    """What no purpose asks for is not kept. Each rule that ends a holding is one that a purpose
    of it names, so what people read is what is done; and who receives it follows from these."""
    retention.check(register)
    for holding in INVENTORY:
        purposes = [register.purposes[purpose] for purpose in holding.purposes]
        assert purposes
        assert holding.retention
        assert set(holding.retention) <= {rule for one in purposes for rule in one.rules}
        assert holding.source in ("person", "use", "support", "both")
        recipients = {recipient for one in purposes for recipient in one.recipients}
        assert recipients <= {processor.id for processor in register.processors}
        assert recipients, "somebody hosts it"
    assert len({holding.name for holding in INVENTORY}) == len(INVENTORY)


def test_whoever_is_pointed_at_goes_last() -> None:
    """Rows that refer to a subject go before the subject, what hangs on a request before the
    request, and what is found by an address before the address."""
    order = {table: n for n, holding in enumerate(INVENTORY) for table in holding.columns}
    assert order["subject"] == max(order.values())
    assert [pair for pair in ORDER if order[pair[0]] >= order[pair[1]]] == []


@pytest.mark.requirement(59)
@pytest.mark.parametrize("locale", LOCALES)
def test_every_holding_has_words_on_the_page(app: Flask, locale: str) -> None:
    """The erasure page and the copy name each of them."""
    with app.test_request_context(f"/?lang={locale}"):
        said = {
            str(get_template_attribute("macros/states.html", "holding")(holding.name)).strip()
            for holding in INVENTORY
        }
    assert all(len(one) > 10 for one in said)
    assert len(said) == len(INVENTORY)


def test_every_place_outside_the_tables_is_in_the_register() -> None:
    """Each is named once and says what it holds; what a holding puts somewhere is personal."""
    places = {place.name: place for place in PLACES}
    assert len(places) == len(PLACES)
    assert all(place.holds for place in PLACES)
    for holding in INVENTORY:
        for name in holding.places:
            assert places[name].personal, name
