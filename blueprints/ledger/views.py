"""What the ledger is, in words."""

from __future__ import annotations

from datetime import datetime, timedelta

from flask import render_template
from flask.typing import ResponseReturnValue
from flask_babel import format_timedelta

from blueprints.ledger import bp
from domain.ledger import log_keys, standing
from extensions import now, reading


@bp.get("", strict_slashes=False)
def explain() -> ResponseReturnValue:
    """What the ledger proves and what it cannot, and where it stands."""
    with reading() as session:
        newest = standing.newest(session)
        keys = log_keys.known(session)
    age = _age(newest.signed_at) if newest else None
    return render_template("ledger/explain.html", newest=newest, age=age, keys=keys[::-1])


def _age(signed_at: datetime) -> str:
    """How long ago, in the reader's language. In the same second there would be no direction."""
    passed = max(now() - signed_at, timedelta(seconds=1))
    return str(format_timedelta(-passed, add_direction=True))
