"""The log in public: checkpoint, keys and tiles for programs, words and a check for people."""

from flask import Blueprint, request

# A receipt carries the words that were shown, and a checkpoint with its witnesses.
MOST_BYTES = 256 * 1024

bp = Blueprint("ledger", __name__, url_prefix="/ledger")


@bp.url_value_preprocessor
def _take_receipts(endpoint: str | None, values: object) -> None:
    # Here, because it runs before the check of the CSRF token, which reads the form.
    if endpoint == "ledger.verify":
        request.max_content_length = MOST_BYTES


from blueprints.ledger import publication, verification, views  # noqa: E402 - they use bp

__all__ = ["bp", "publication", "verification", "views"]
