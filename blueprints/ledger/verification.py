"""Checking a receipt that somebody brings. It is read, and nothing of it is kept or logged."""

from __future__ import annotations

import base64
import json
from typing import Any

from flask import current_app, render_template
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from blueprints.ledger import bp
from blueprints.ledger.forms import ReceiptForm
from domain.consent.purposes import purposes
from domain.ledger import examining, standing
from domain.ledger.errors import (
    Diverged,
    LedgerError,
    Lost,
    NotProved,
    UntrustedCheckpoint,
    WrongPresentation,
    WrongSignature,
)
from domain.ledger.receipts import Verified
from extensions import keeps_typed, locale, reading


@bp.route("/verify", methods=["GET", "POST"])
@keeps_typed
def verify() -> ResponseReturnValue:
    """Check a receipt, and compare it with the log as it is today."""
    form = ReceiptForm()
    if not form.validate_on_submit():
        return _asked(form)
    try:
        with reading() as session:
            verified = examining.examine(session, form.content)
            newest = standing.newest(session)
            register = purposes(session)
    except LedgerError as error:
        form.given.errors = [_wrong(error)]
        return _asked(form)
    purpose = register.purposes.get(verified.entry.data.get("purpose", ""))
    return render_template(
        "ledger/verified.html",
        verified=verified,
        newest=newest,
        about=purpose.text[locale()].name if purpose else verified.entry.data.get("purpose"),
        shown=_shown(verified),
        root=base64.b64encode(verified.checkpoint.root).decode(),
    )


def _asked(form: ReceiptForm) -> ResponseReturnValue:
    return render_template("ledger/verify.html", form=form), 422 if form.errors else 200


def _shown(verified: Verified) -> dict[str, Any] | None:
    """What was shown of the purpose that the entry is about, and in which language."""
    if verified.presentation is None:
        return None
    content = json.loads(verified.presentation)
    asked = {one["id"]: one for one in content["purposes"]}
    return {"locale": content["locale"], **asked[verified.entry.data["purpose"]]}


def _wrong(error: LedgerError) -> str:
    """What is wrong with a receipt, in the reader's language."""
    if isinstance(error, Diverged):
        said = _(
            "The receipt is right, but our ledger does not begin with what it proves any more. "
            "That must never happen. Keep the receipt, and tell us at %(email)s",
            email=current_app.extensions["operator"].email,
        )
    elif isinstance(error, Lost):
        said = _(
            "The receipt is right, but our ledger has lost the entry: an older copy had to be "
            "restored. What the receipt says counts as recorded. Keep it, and write to us at "
            "%(email)s",
            email=current_app.extensions["operator"].email,
        )
    elif isinstance(error, UntrustedCheckpoint):
        said = _("No key of our ledger has signed this. The receipt is not ours, or was changed")
    elif isinstance(error, WrongSignature):
        said = _("The signature does not fit. The receipt was changed after it was made")
    elif isinstance(error, WrongPresentation):
        said = _("The words that were shown are not those the entry names. They were changed")
    elif isinstance(error, NotProved):
        said = _("The proof does not fit the entry. One of them was changed")
    else:
        said = _("This is not a whole receipt. Part of it is not there, or was changed")
    return str(said)
