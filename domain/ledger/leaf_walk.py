"""One reading of leaves and entries in the order of positions, for all that can be checked on the
way: dense positions, leaf hashes, roots, the lowest tiles, the entries' bytes.

A part of the log can be walked by itself, since the tree left of it is taken from the stored
tiles. That is sound when every part is walked: a lowest tile is made again from its leaves by the
part that it stands in, and the higher ones from the lower (log_invariants.py). So a wrong tile is
found by somebody, whoever leant on it, and the log passes only when nobody found anything.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from hashlib import sha256

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from domain.dates import timestamp
from domain.ledger import raw, schemas, tree
from domain.ledger.entry import decode
from domain.ledger.errors import LedgerError, MissingNode
from domain.ledger.invariants import Invariant, Part, Tell, Violation, Walk
from domain.ledger.leaf_faults import changed, gap, moved
from domain.ledger.merkle import Frontier
from domain.ledger.models import LedgerLeaf, LedgerState, LedgerTile
from domain.ledger.raw import Row
from domain.ledger.spelling import spelled
from domain.ledger.tiles import HEIGHT, WIDTH, Tile

DENSE = Invariant(1, "positions are dense from 0, and one entry has one leaf")
HASHED = Invariant(3, "every leaf is the hash of its entry's bytes")
ROOTS = Invariant(5, "every root is that of the entries before it")
TILES = Invariant(6, "every full tile is stored, and made of what stands below it")
BYTES = Invariant(15, "every entry is canonical, within its schema, and under its own id")

# Leaves that are read at once: whole tiles, and some 3 MB.
_PART = 1 << 12
# The tree over up to 256 leaves: the leaves' hashes, the nodes above them, and so on.
_Rows = list[list[bytes]]


def parts(session: Session) -> list[Part]:
    """The whole log as it is now, cut at tiles. What is appended later is for another time.

    Of a state that is larger than there are leaves, only so much that the gap is come to: anybody
    can write down a size that would take years."""
    leaves = session.scalar(select(func.count()).select_from(LedgerLeaf)) or 0
    size = min(tree.current(session).size, leaves + 1)
    cut = [(begin, min(begin + _PART, size)) for begin in range(0, size, _PART)]
    return [Part(begin, end, end - begin) for begin, end in cut]


def run(session: Session, part: Part, tell: Tell) -> Iterator[Violation]:
    """Walk the leaves of a part, to the first violation: after it nothing is in its place."""
    try:
        left = Frontier.of(tree.nodes(session), part.begin)
    except MissingNode as missing:
        yield TILES.broken(f"{missing}: the tile that it stood in is gone")
        return
    # Whole tiles are to the left: what stands over one of them counts as a leaf here.
    above = Frontier(part.begin >> HEIGHT, left.hashes)
    tiles, states = _tiles(session, part), _states(session, part)
    rows = raw.leaves(session, part.begin, part.end)
    for base in range(part.begin, part.end, WIDTH):
        block = rows[base - part.begin : min(base + WIDTH, part.end) - part.begin]
        hashes = _leaves(session, base, min(WIDTH, part.end - base), block)
        if isinstance(hashes, Violation):
            yield hashes
            return
        grown = _grown(hashes)
        violation = _tile(base, grown, tiles, block) or _roots(base, grown, above, states)
        if violation:
            yield violation
            return
        tell(len(hashes))


WALK = Walk((DENSE, HASHED, ROOTS, TILES, BYTES), parts, run)


def unsound(entry_id: str, content: bytes, time: str | None) -> str | None:
    """What is wrong with an entry's bytes in its row; None where nothing is."""
    said = f"{time}".replace(" ", "T")
    if spelled(content) == entry_id and (content[7:30] + b"000").decode("ascii") == said:
        return None
    try:
        entry = decode(content)
        schemas.check(entry.type, entry.data)
    except LedgerError as error:
        return f"entry {entry_id}: {error}"
    if entry.id != entry_id:
        return f"entry {entry_id}: the bytes are those of entry {entry.id}"
    if timestamp(entry.at) != said[:-3] + "Z":
        return f"entry {entry_id}: it says another time than its row"
    return None


def _tiles(session: Session, part: Part) -> dict[int, tuple[bytes, bytes]]:
    query = select(LedgerTile.number, LedgerTile.root, LedgerTile.data).where(
        LedgerTile.level == 0,
        LedgerTile.number >= part.begin >> HEIGHT,
        LedgerTile.number < part.end >> HEIGHT,
    )
    return {number: (root, data) for number, root, data in session.execute(query)}


def _states(session: Session, part: Part) -> list[tuple[int, bytes]]:
    """Of a part, the newest first, so that the next can be taken from the end."""
    query = (
        select(LedgerState.size, LedgerState.root)
        .where(LedgerState.size > part.begin, LedgerState.size <= part.end)
        .order_by(LedgerState.size.desc())
    )
    return [(size, root) for size, root in session.execute(query)]


def _leaves(session: Session, base: int, count: int, rows: list[Row]) -> list[bytes] | Violation:
    """The hashes of so many leaves, each made again from its entry."""
    hashes = []
    for expected, (position, entry_id, stored, content, time) in enumerate(rows, base):
        if position != expected:
            return DENSE.broken(gap(session, expected))
        if content is None:
            return DENSE.broken(f"entry {entry_id} at position {position} is gone: it was removed")
        found = sha256(b"\x00" + content).digest()
        if found != stored:
            return HASHED.broken(changed(session, rows[expected - base], found))
        wrong = unsound(entry_id, content, time)
        if wrong:
            return BYTES.broken(f"{wrong} (position {position})")
        hashes.append(found)
    if len(hashes) < count:
        return DENSE.broken(gap(session, base + len(hashes)))
    return hashes


def _grown(hashes: list[bytes]) -> _Rows:
    """Every complete node over these leaves: the tree of RFC 6962, 2.1, row by row."""
    rows = [hashes]
    while len(rows[-1]) > 1:
        below = iter(rows[-1])
        rows.append(
            [sha256(b"\x01" + left + right).digest() for left, right in zip(below, below)]  # noqa: B905 - the last may stand alone
        )
    return rows


def _tile(
    base: int, grown: _Rows, tiles: Mapping[int, tuple[bytes, bytes]], rows: list[Row]
) -> Violation | None:
    if len(grown[0]) < WIDTH:
        return None
    tile = Tile(0, base >> HEIGHT)
    if tile.number not in tiles:
        return TILES.broken(f"tile {tile.path} is missing")
    root, data = tiles[tile.number]
    if data != b"".join(grown[0]):
        return TILES.broken(f"tile {tile.path}: {moved(base, grown[0], data, rows)}")
    if root != grown[HEIGHT][0]:
        return TILES.broken(f"tile {tile.path} has another root than its hashes")
    return None


def _roots(
    base: int, grown: _Rows, above: Frontier, states: list[tuple[int, bytes]]
) -> Violation | None:
    """Compare the root of every state that ends among these leaves; then let `above` grow."""
    width = len(grown[0])
    while states and states[-1][0] <= base + width:
        size, root = states.pop()
        beside = [grown[height][number] for height, number in _complete(size - base)]
        if Frontier(size, [*above.hashes, *beside]).root != root:
            return ROOTS.broken(
                f"state {size}: its root is not that of the first {size} entries. Among those"
                f" from position {base} on, one was changed, removed or put elsewhere, or the"
                " state itself was changed"
            )
    if width == WIDTH:
        for _ in above.append(grown[HEIGHT][0]):
            pass
    return None


def _complete(count: int) -> Iterator[tuple[int, int]]:
    """Height and number of the complete subtrees over so many leaves, the largest first."""
    begin = 0
    for height in range(count.bit_length() - 1, -1, -1):
        if count >> height & 1:
            yield height, begin >> height
            begin += 1 << height
