"""The inventory: every table is somebody's to export and erase, or holds nothing of anybody."""

from __future__ import annotations

import pytest
from flask import Flask, get_template_attribute

from database import Base
from domain.consent.purposes import PurposeRegister
from domain.rights.inventory import INVENTORY

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
}


@pytest.mark.requirement(56, 59)
def test_every_table_has_a_holding_or_a_reason() -> None:
    """A new table is exported and erased, or says here why it need not be."""
    held = [table for holding in INVENTORY for table in holding.tables]
    assert len(held) == len(set(held))
    assert {*held, *ABOUT_NOBODY} == set(Base.metadata.tables)
    assert not set(held) & set(ABOUT_NOBODY)


@pytest.mark.requirement(1)
def test_every_holding_is_kept_for_purposes_of_the_register(register: PurposeRegister) -> None:
    """What no purpose asks for is not kept."""
    for holding in INVENTORY:
        assert holding.purposes
        assert set(holding.purposes) <= set(register.purposes)
    assert len({holding.name for holding in INVENTORY}) == len(INVENTORY)


def test_whoever_is_pointed_at_goes_last() -> None:
    """Rows that refer to a subject go before the subject, and the attempts before the account
    by whose address they are found."""
    order = {table: n for n, holding in enumerate(INVENTORY) for table in holding.tables}
    assert order["subject"] == max(order.values())
    assert order["attempt"] < order["account"]
    assert order["outbox_message"] < order["account"]


@pytest.mark.requirement(59)
def test_every_holding_has_words_on_the_page(app: Flask) -> None:
    """The erasure page and the copy name each of them."""
    with app.test_request_context():
        for holding in INVENTORY:
            said = get_template_attribute("macros/states.html", "holding")(holding.name)
            assert len(str(said).strip()) > 10, holding.name
