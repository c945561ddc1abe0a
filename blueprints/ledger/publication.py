"""What programs read of the log: checkpoint, keys, and tiles (C2SP tlog-tiles).

Public and the same for everyone: no cookie, no session, any origin may read it. Nothing past the
newest published checkpoint is served, and entries are not served at all: they are private.
"""

from __future__ import annotations

from flask import Response, request
from flask.typing import ResponseReturnValue

from blueprints.ledger import bp
from domain.ledger import log_keys, publishing, tiles, tree
from domain.ledger.errors import MalformedTile
from domain.ledger.tiles import Tile
from extensions import reading

# A full tile never changes. What may be followed by more is asked for again soon.
FOR_EVER = "public, max-age=31536000, immutable"
SOON, NOW = "public, max-age=60", "public, max-age=1"


@bp.get("/checkpoint")
def checkpoint() -> ResponseReturnValue:
    """The newest published checkpoint, with the lines of the witnesses who signed it."""
    with reading() as session:
        newest = tree.published(session)
        if newest is None:
            return _nothing("no checkpoint has been published yet")
        note = publishing.note(session, newest.size)
    return _given(note, "text/plain", NOW)


@bp.get("/key")
def key() -> ResponseReturnValue:
    """The verifier keys that sign the log now, a line each, the newest first."""
    with reading() as session:
        keys = log_keys.in_force(session)
    if not keys:
        return _nothing("the log has no key yet")
    return _given("".join(f"{one}\n" for one in reversed(keys)).encode(), "text/plain", SOON)


# A path has one spelling: werkzeug would lead `0//000` to another by a redirect.
@bp.get("/tile/<path:path>", merge_slashes=False)
def tile(path: str) -> ResponseReturnValue:
    """The hashes of a tile, full or partial."""
    try:
        wanted = Tile.at(path)
    except MalformedTile:
        return _nothing("there is no such tile")
    with reading() as session:
        newest = tree.published(session)
        if newest is None or not tiles.exists(wanted, newest.size):
            return _nothing("there is no such tile")
        hashes = tree.tile(session, wanted)
    return _given(hashes, "application/octet-stream", FOR_EVER if wanted.full else SOON)


def _given(content: bytes, mimetype: str, kept: str) -> Response:
    response = _open(Response(content, mimetype=mimetype))
    response.headers["Cache-Control"] = kept
    response.add_etag()
    response.make_conditional(request)
    return response


def _nothing(reason: str) -> Response:
    """404 in words, and not to be kept: it may be there in a moment."""
    return _open(Response(f"{reason}\n", 404, mimetype="text/plain"))


def _open(response: Response) -> Response:
    response.headers["Access-Control-Allow-Origin"] = "*"
    return response
