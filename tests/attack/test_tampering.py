"""What prevention cannot stop, verify finds: the owner takes the guards away, changes what was
recorded, and puts the guards back."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from database import Database
from domain.ledger.entry import Entry, decode
from domain.ledger.models import LedgerEntry
from domain.subjects import service
from domain.subjects.models import EntryLink, Subject
from tests.attack.ledgers import EXPIRED, Contents, attacked, found, unguarded
from tests.support import NOON

pytestmark = pytest.mark.requirement(49)


@pytest.fixture
def tampered(owner: Database) -> Callable[..., None]:
    """Runs statements as an owner who takes the guards and keys away, and puts the guards back
    as if nothing had been."""

    def tamper(*statements: str, values: dict[str, object] | None = None) -> None:
        with unguarded(owner) as session:
            for statement in statements:
                session.execute(text(statement), values or {})

    return tamper


def linked(session: Session, ordinal: int) -> Entry:
    link = EntryLink.entry_id == LedgerEntry.id
    query = select(LedgerEntry.bytes).join(EntryLink, link).where(EntryLink.ordinal == ordinal)
    return decode(session.scalars(query).one())


@pytest.fixture
def entry(database: Database, recorded: Contents) -> Entry:
    """The first of two entries about a person."""
    with database.reading() as session:
        return linked(session, 1)


SET_BYTES = "UPDATE ledger_entry SET bytes = :bytes WHERE id = :id"


def test_taking_the_guards_away_and_back_is_no_violation(
    database: Database, tampered: Callable[..., None], entry: Entry
) -> None:
    """What the next tests find is what was changed, and not the way it was done."""
    tampered()
    assert found(database) == "None"


@pytest.mark.parametrize("position", [0, 10, 40, 100, 150, 200, -1])
def test_a_flipped_bit_is_found(
    database: Database, tampered: Callable[..., None], entry: Entry, position: int
) -> None:
    """The bytes of an entry about a person: broken, under another id, or with another tag."""
    content = bytearray(entry.encode())
    content[position] ^= 0x01
    tampered(SET_BYTES, values={"bytes": bytes(content), "id": entry.id})
    assert f"entry {entry.id}" in found(database)


def test_swapped_bytes_are_found(
    database: Database, tampered: Callable[..., None], entry: Entry
) -> None:
    """Two decisions that changed places."""
    with database.reading() as session:
        other = linked(session, 2)
    tampered(
        "UPDATE ledger_entry SET bytes = CASE id WHEN :one THEN :others ELSE :ones END"
        " WHERE id IN (:one, :other)",
        values={
            "one": entry.id,
            "ones": entry.encode(),
            "other": other.id,
            "others": other.encode(),
        },
    )
    assert "the bytes are those of entry" in found(database)


def test_a_removed_entry_is_found(
    database: Database, tampered: Callable[..., None], entry: Entry
) -> None:
    """Its link is still there."""
    tampered(
        "DELETE FROM ledger_pending WHERE entry_id = :id",
        "DELETE FROM ledger_entry WHERE id = :id",
        values={"id": entry.id},
    )
    assert found(database).endswith(f"entry {entry.id}: linked and does not exist")


def test_an_entry_removed_with_its_traces_is_found(
    database: Database, tampered: Callable[..., None], entry: Entry
) -> None:
    """Without its link, its number is missing among the person's."""
    tampered(
        "DELETE FROM ledger_pending WHERE entry_id = :id",
        "DELETE FROM entry_link WHERE entry_id = :id",
        "DELETE FROM ledger_entry WHERE id = :id",
        values={"id": entry.id},
    )
    assert found(database).startswith("invariant 16")


def test_an_entry_with_the_tag_of_another_is_found(
    database: Database, tampered: Callable[..., None], entry: Entry
) -> None:
    """Well-formed and canonical, but nobody with the person's key made it."""
    forged = Entry(id=entry.id, at=entry.at, type=entry.type, tag="d" * 64, data=entry.data)
    tampered(SET_BYTES, values={"bytes": forged.encode(), "id": entry.id})
    assert found(database).startswith("invariant 9")
    assert f"entry {entry.id}" in found(database)


@pytest.mark.parametrize("ordinal", [1, 2, 3])
def test_a_link_that_was_taken_away_is_found(
    database: Database, tampered: Callable[..., None], entry: Entry, ordinal: int
) -> None:
    """Invariant 16: the first, one between, and the last."""
    with database.transaction() as session:
        who = session.scalars(select(Subject.id)).one()
        service.record(session, who, "consent.expired", EXPIRED, at=NOON)
    tampered("DELETE FROM entry_link WHERE ordinal = :n", values={"n": ordinal})
    assert found(database).startswith("invariant 16")


def test_links_that_changed_hands_are_found(
    database: Database, tampered: Callable[..., None], entry: Entry
) -> None:
    """Invariant 9: what one person decided is moved to another."""
    with database.transaction() as session:
        service.open_subject(session, at=NOON)
    tampered("UPDATE entry_link SET subject_id = (SELECT id FROM subject WHERE id <> subject_id)")
    assert found(database).startswith("invariant 9")
    assert found(database).endswith("not tagged with the key of the subject it is linked to")


GUARD_ATTACKS = [
    ("sqlite", ["DROP TRIGGER ledger_entry_no_update"]),
    ("sqlite", ["DROP TRIGGER entry_link_no_delete"]),
    ("sqlite", ["DROP TRIGGER subject_no_lowering"]),
    ("postgresql", ["DROP TRIGGER entry_link_no_delete ON entry_link"]),
    ("postgresql", ["DROP TRIGGER subject_no_lowering ON subject"]),
    ("postgresql", ["ALTER TABLE entry_link DISABLE TRIGGER entry_link_no_delete"]),
    (
        "postgresql",
        [
            "CREATE OR REPLACE FUNCTION refuse_parting() RETURNS trigger LANGUAGE plpgsql"
            " AS $$ BEGIN RETURN OLD; END $$"
        ],
    ),
    ("sqlite", ["DROP TRIGGER presentation_no_replace"]),
    (
        "sqlite",
        [
            "DROP TRIGGER ledger_entry_no_delete",
            "CREATE TRIGGER ledger_entry_no_delete BEFORE DELETE ON ledger_entry WHEN false"
            " BEGIN SELECT 1; END",
        ],
    ),
    (
        "sqlite",
        ["CREATE TRIGGER other BEFORE INSERT ON ledger_entry BEGIN SELECT RAISE(IGNORE); END"],
    ),
    ("postgresql", ["DROP TRIGGER ledger_entry_no_update ON ledger_entry"]),
    ("postgresql", ["ALTER TABLE ledger_entry DISABLE TRIGGER USER"]),
    ("postgresql", ["ALTER TABLE notice_version ENABLE TRIGGER notice_version_no_delete"]),
    (
        "postgresql",
        [
            "CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql"
            " AS $$ BEGIN RETURN NEW; END $$"
        ],
    ),
    (
        "postgresql",
        [
            "DROP TRIGGER ledger_entry_no_update ON ledger_entry",
            "CREATE TRIGGER ledger_entry_no_update BEFORE UPDATE OF recorded_at ON ledger_entry"
            " FOR EACH ROW EXECUTE FUNCTION refuse_change()",
            "ALTER TABLE ledger_entry ENABLE ALWAYS TRIGGER ledger_entry_no_update",
        ],
    ),
    (
        "postgresql",
        [
            "CREATE TRIGGER other BEFORE INSERT ON ledger_entry"
            " FOR EACH ROW EXECUTE FUNCTION refuse_change()"
        ],
    ),
    ("postgresql", ["CREATE RULE other AS ON INSERT TO ledger_entry DO INSTEAD NOTHING"]),
]


@pytest.mark.parametrize(("backend", "attack"), GUARD_ATTACKS, indirect=["backend"])
def test_a_guard_that_was_weakened_is_found(
    database: Database, owner: Database, attack: list[str]
) -> None:
    """Dropped, disabled, hollowed out, narrowed, or with another trigger or rule beside it."""
    attacked(owner, *attack)
    assert found(database).startswith("invariant 14")
