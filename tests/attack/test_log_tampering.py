"""An attacker with the owner's role, who puts the guards back as if nothing had been: each change
of the log is found by verify, or by a checkpoint that somebody kept, and the words say which."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
from sqlalchemy import delete, insert, select, text
from sqlalchemy.orm import Session

from database import Database
from domain.ledger import outside, publishing, tree
from domain.ledger.edge import Edge
from domain.ledger.errors import Inconsistent
from domain.ledger.log import Log, log
from domain.ledger.models import (
    LedgerCheckpoint,
    LedgerEntry,
    LedgerKey,
    LedgerLeaf,
    LedgerState,
    LedgerTile,
)
from domain.ledger.notes import KeyType, SignerKey
from domain.ledger.sequencer import Sequencer
from domain.subjects import service
from tests.attack.conftest import cosign
from tests.attack.ledgers import EXPIRED, LOG, found, unguarded
from tests.support import NOON, logs

pytestmark = pytest.mark.requirement(49)

# Two full tiles and a partial one; states at its edges and between them.
SIZES = (256, 300, 520, 600)
Attack = Callable[[Session], None]


@pytest.fixture
def grown(database: Database) -> bytes:
    """A sound log; its newest checkpoint, as somebody kept it."""
    with database.transaction() as session:
        logs.fill(session, *SIZES)
        cosign(session, 600)
        return publishing.note(session, 600)


def run(session: Session, statement: str, **values: object) -> None:
    session.execute(text(statement), values)


def entry_at(session: Session, position: int) -> tuple[str, bytes]:
    query = select(LedgerEntry.id, LedgerEntry.bytes).join(
        LedgerLeaf, LedgerLeaf.entry_id == LedgerEntry.id
    )
    entry_id, content = session.execute(query.where(LedgerLeaf.position == position)).one()
    return entry_id, content


def change_a_byte(session: Session) -> None:
    entry_id, content = entry_at(session, 299)
    changed = content.replace(b'"purpose_version":1', b'"purpose_version":2')
    set_bytes(session, entry_id, changed)


def break_a_byte(session: Session) -> None:
    entry_id, content = entry_at(session, 599)
    set_bytes(session, entry_id, content[:-1] + b" ")


def set_bytes(session: Session, entry_id: str, content: bytes) -> None:
    run(session, "UPDATE ledger_entry SET bytes = :c WHERE id = :id", c=content, id=entry_id)


def remove_an_entry(session: Session) -> None:
    run(session, "DELETE FROM ledger_entry WHERE id = :id", id=entry_at(session, 10)[0])


def remove_an_entry_with_its_leaf(session: Session) -> None:
    entry_id, _ = entry_at(session, 10)
    run(session, "DELETE FROM ledger_leaf WHERE position = 10")
    run(session, "DELETE FROM ledger_entry WHERE id = :id", id=entry_id)


def remove_an_entry_and_close_the_gap(session: Session) -> None:
    entry_id, _ = entry_at(session, 10)
    move(session, [at for at in range(600) if at != 10])
    run(session, "DELETE FROM ledger_entry WHERE id = :id", id=entry_id)


def move(session: Session, order: Sequence[int]) -> None:
    """Put the leaves into another order, or leave some out."""
    columns = (LedgerLeaf.entry_id, LedgerLeaf.leaf_hash)
    old = session.execute(select(*columns).order_by(LedgerLeaf.position)).all()
    session.execute(delete(LedgerLeaf))
    rows = [
        {"position": to, "entry_id": old[at].entry_id, "leaf_hash": old[at].leaf_hash}
        for to, at in enumerate(order)
    ]
    session.execute(insert(LedgerLeaf), rows)


def swapped(one: int, other: int) -> list[int]:
    order = list(range(600))
    order[one], order[other] = other, one
    return order


def swap_bytes(session: Session) -> None:
    (one, ones), (other, others) = entry_at(session, 20), entry_at(session, 520)
    set_bytes(session, one, others)
    set_bytes(session, other, ones)


def swap_in_a_tile(session: Session) -> None:
    move(session, swapped(20, 21))


def swap_between_tiles(session: Session) -> None:
    move(session, swapped(20, 300))


def swap_at_the_edge(session: Session) -> None:
    move(session, swapped(530, 590))


def drop_leaves(session: Session) -> None:
    run(session, "DELETE FROM ledger_leaf WHERE position >= 590")


def drop_the_tail(session: Session, *, entries: bool = True) -> None:
    """Back to 300 entries, without a trace in the database."""
    run(session, "DELETE FROM ledger_cosignature WHERE size > 300")
    run(session, "DELETE FROM ledger_checkpoint WHERE size > 300")
    run(session, "DELETE FROM ledger_state WHERE size > 300")
    run(session, "DELETE FROM ledger_tile WHERE number > 0")
    later = "SELECT entry_id FROM ledger_leaf WHERE position >= 300"
    if entries:
        run(session, f"DELETE FROM ledger_entry WHERE id IN ({later})")
    run(session, "DELETE FROM ledger_leaf WHERE position >= 300")


def drop_the_tail_but_for_entries(session: Session) -> None:
    drop_the_tail(session, entries=False)


def rewrite(session: Session) -> None:
    """One decision is changed, and every hash, tile and root is made again to match."""
    joined = select(LedgerEntry.bytes).join(LedgerLeaf, LedgerLeaf.entry_id == LedgerEntry.id)
    contents = list(session.scalars(joined.order_by(LedgerLeaf.position)))
    contents[5] = contents[5].replace(b'"marketing"', b'"analytics"')
    for model in (LedgerState, LedgerTile, LedgerLeaf, LedgerEntry):
        session.execute(delete(model))
    edge, before = Edge(), 0
    for size in SIZES:
        logs.extend(session, edge, contents[before:size])
        before = size


OTHER = SignerKey("samtykke.test/consent", KeyType.LOG, bytes(range(1, 33)))


def sign_again(session: Session, signer: SignerKey) -> None:
    run(session, "DELETE FROM ledger_cosignature")
    run(session, "DELETE FROM ledger_checkpoint")
    for size in SIZES:
        note = publishing.sign(tree.State(size, tree.root_at(session, size)), [signer])
        publishing.publish(session, size, note, (), at=NOON)


def rewrite_only(session: Session) -> None:
    rewrite(session)


def rewrite_and_sign_with_another_key(session: Session) -> None:
    rewrite(session)
    sign_again(session, OTHER)


def rewrite_and_register_another_key(session: Session) -> None:
    rewrite_and_sign_with_another_key(session)
    session.execute(insert(LedgerKey).values(verifier_key=str(OTHER.verifier), from_size=0))


def rewrite_and_replace_the_key(session: Session) -> None:
    session.execute(delete(LedgerKey))
    rewrite_and_register_another_key(session)


def rewrite_with_the_stolen_key(session: Session) -> None:
    rewrite(session)
    sign_again(session, log(session).signers[0])


def statement(sql: str) -> Attack:
    return lambda session: run(session, sql)


ATTACKS: dict[str, tuple[Attack, int, str]] = {
    "a byte": (change_a_byte, 3, "at position 299: a byte was changed"),
    "a broken byte": (break_a_byte, 3, "at position 599: a byte was changed (not JSON"),
    "an entry": (remove_an_entry, 1, "at position 10 is gone: it was removed"),
    "an entry and its leaf": (remove_an_entry_with_its_leaf, 1, "at position 10: one was removed"),
    "a closed gap": (remove_an_entry_and_close_the_gap, 6, "an entry was removed that stood here"),
    "swapped bytes": (swap_bytes, 3, "was hashed at position 520: entries were swapped"),
    "swapped leaves": (swap_in_a_tile, 6, "position 20, entry"),
    "leaves of two tiles": (swap_between_tiles, 6, "another entry stood here"),
    "leaves at the edge": (swap_at_the_edge, 5, "was changed, removed or put elsewhere"),
    "dropped leaves": (drop_leaves, 1, "position 590 or behind it: the tail was dropped"),
    "a dropped tail": (drop_the_tail, 7, "its tail was dropped, or an older copy of the database"),
    "all but entries": (drop_the_tail_but_for_entries, 2, "is not pending and has no position"),
    "rewritten": (rewrite_only, 8, "the tree was rewritten after this was signed"),
    "another key": (rewrite_and_sign_with_another_key, 8, "with a key that is not the log's"),
    "a registered key": (rewrite_and_register_another_key, 17, "did not sign the first"),
    "a replaced key": (rewrite_and_replace_the_key, 17, "and the settings do not have it"),
    "a stolen key": (rewrite_with_the_stolen_key, 7, "the tree was rewritten"),
    "a state": (statement("DELETE FROM ledger_state WHERE size = 520"), 4, "a state was removed"),
    "the newest state": (
        statement("DELETE FROM ledger_state WHERE size = 600"),
        4,
        "600 leaves are there",
    ),
    "a state's root": (
        statement(
            "UPDATE ledger_state SET root = (SELECT root FROM ledger_tile WHERE number = 1)"
            " WHERE size = 520"
        ),
        5,
        "state 520",
    ),
    "a tile": (statement("DELETE FROM ledger_tile WHERE number = 1"), 6, "tile 0/001"),
    "a tile's root": (
        statement("UPDATE ledger_tile SET root = (SELECT root FROM ledger_state WHERE size = 300)"),
        6,
        "tile 0/000 has another root",
    ),
    "a checkpoint": (
        statement(
            "UPDATE ledger_checkpoint SET note = (SELECT c.note FROM ledger_checkpoint c"
            " WHERE c.size = 300) WHERE size = 520"
        ),
        8,
        "checkpoint 520: it says 300 entries",
    ),
    "a cosignature": (
        statement("UPDATE ledger_cosignature SET size = 520"),
        8,
        "checkpoint 520: the cosignature of witness.test",
    ),
    "its time": (
        statement("UPDATE ledger_cosignature SET seen_at = '2026-11-21 12:00:00.000000+00'"),
        8,
        "says another time",
    ),
    "the key": (statement("DELETE FROM ledger_key"), 8, "no trusted key"),
    "the key's range": (statement("UPDATE ledger_key SET from_size = 256"), 8, "checkpoint 256"),
    "a retired key": (
        statement("INSERT INTO ledger_key_end SELECT verifier_key, 600 FROM ledger_key"),
        17,
        "was retired, and no entry says so",
    ),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_what_the_owner_did_is_found_and_said(
    database: Database, owner: Database, grown: bytes, name: str
) -> None:
    """The first violation is that of what was done, and says what it was."""
    attack, number, words = ATTACKS[name]
    assert found(database) == "None"
    with unguarded(owner) as session:
        attack(session)
    said = found(database)
    assert said.startswith(f"invariant {number} ")
    assert words in said


def told(database: Database, kept: bytes) -> str:
    """What comparing with an outside checkpoint says."""
    with database.reading() as session:
        try:
            return outside.consistent(session, outside.read(kept))
        except Inconsistent as error:
            return str(error)


def footer(database: Database) -> bytes:
    """Size and root, as mails name them."""
    with database.reading() as session:
        now = tree.current(session)
        return f"{now.size} {base64.b64encode(now.root).decode()}".encode()


def test_yesterdays_copy_is_found(database: Database, owner: Database, log: Log) -> None:
    """Sound in itself: the high-water file tells. With yesterday's file beside it, whoever kept
    a later checkpoint does."""
    with database.transaction() as session:
        logs.fill(session, 256, 300)
        copy = {one: session.execute(select(*one.__table__.columns)).all() for one in LOG}
        yesterdays = log.high_water.read_bytes()
        edge = Edge.load(tree.nodes(session), lambda tile: tree.tile(session, tile), 300)
        logs.extend(session, edge, logs.made(300))
        logs.publish(session, 600)
        kept = publishing.note(session, 600)
    mailed = footer(database)
    assert told(database, kept).startswith("consistent with checkpoint 600, signed by samtykke")
    assert told(database, mailed) == "consistent with checkpoint 600"
    with unguarded(owner) as session:
        for model in reversed(LOG):
            session.execute(delete(model))
        for model, rows in copy.items():
            if rows:
                session.execute(insert(model), [dict(row._mapping) for row in rows])
    assert found(database).startswith("invariant 7")
    assert "an older copy of the database was restored" in found(database)
    log.high_water.write_bytes(yesterdays)
    assert found(database) == "None"
    for one in (kept, mailed):
        assert "the log has 300 entries" in told(database, one)
        assert "an older copy of the database was restored" in told(database, one)
    assert told(database, yesterdays).startswith("consistent with checkpoint 300")


@pytest.mark.parametrize(
    ("attack", "signed", "words"),
    [
        (rewrite_and_replace_the_key, OTHER, "signed with another key"),
        (rewrite_with_the_stolen_key, None, "have another root than checkpoint 600"),
    ],
)
def test_a_log_rewritten_with_the_high_water_file_is_found_by_what_somebody_kept(
    database: Database,
    owner: Database,
    log: Log,
    grown: bytes,
    attack: Attack,
    signed: SignerKey | None,
    words: str,
) -> None:
    """Everything the site has was replaced, its settings too, and is sound in itself."""
    mailed = footer(database)
    signer = signed or log.signers[0]
    with unguarded(owner) as session:
        attack(session)
        log.high_water.write_bytes(publishing.note(session, 600))
    database.info["log"] = replace(log, signers=(signer,))
    assert found(database) == "None"
    assert words in told(database, grown)
    assert "the log was rewritten" in told(database, mailed)
    with database.reading() as session:
        newest = session.scalars(select(LedgerCheckpoint.note).where(LedgerCheckpoint.size == 600))
        assert publishing.sign(tree.current(session), [signer]) == newest.one()


@pytest.mark.requirement(50)
def test_the_log_verifies_after_somebody_was_erased(database: Database, log: Log) -> None:
    """What the log says about them stays, about nobody; a checkpoint from before still holds."""
    with database.transaction() as session:
        subject = service.open_subject(session, at=NOON)
        ids = [
            service.record(session, subject.id, "consent.expired", EXPIRED, at=NOON)
            for _ in range(3)
        ]
    Sequencer(database, lambda: NOON).run_once()
    assert log.high_water.exists()
    kept = log.high_water.read_bytes()
    with database.transaction() as session:
        service.forget(session, subject.id)
    assert found(database) == "None"
    assert told(database, kept).startswith("consistent with checkpoint 3, signed by")
    with database.reading() as session:
        assert set(session.scalars(select(LedgerLeaf.entry_id))) == set(ids)
