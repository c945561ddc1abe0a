"""Where each column about a person stands in the copy of their data, or why it does not.

Access, inventory and canaries are tested with this one list: a new column in a table of a holding
fails them until somebody has decided, and a column that is about nobody says so.
"""

from __future__ import annotations

# A column's place in the copy (holding, key), or the reason why it is not there.
Place = tuple[str, str] | str

KEYS = "internal: a key or keyed hash that opens or finds rows, and says nothing"
ROW = "internal: a random id of the row"
LINK = "who it is about: the person who asks"
SCHEDULE = "internal: when and how often it was tried, and who has it in hand"


def _told(holding: str, *names: str) -> dict[str, Place]:
    """Columns that the copy has under their own names."""
    return {name: (holding, name) for name in names}


COLUMNS: dict[str, dict[str, Place]] = {
    "account": {
        **_told("account", "id", "email", "pending_email", "name", "phone", "address"),
        **_told("account", "postal_code", "city", "locale", "terms_accepted", "stamp"),
        **_told("account", "opened_at", "staff", "undeliverable_at", "undeliverable_status"),
        "subject_id": LINK,
        "email_lookup": KEYS,
        "password_hash": "as the fact that there is one: the hash would help only who guesses",
    },
    "subject": {
        "id": LINK,
        "wrapped_key": KEYS,
        "opened_at": "the same moment as the account's or the correspondent's",
        "confirmed_at": ("account", "confirmed_at"),
        "declared_age": ("account", "declared_age"),
        "restricted_at": "beside the holdings: restricted_since",
        "erasing_at": "beside the holdings: erasure_begun",
        "linked": "the number of entries, which are all there",
    },
    "usage_key": {
        "despite_signal": ("usage", "despite_signal"),
        "begun_at": ("usage", "counted_since_at"),
        "id": ROW,
        "subject_id": LINK,
        "key": KEYS,
        **dict.fromkeys(("browser", "expires_at"), "a visitor's, whom nobody can name"),
    },
    "usage_event": {
        **_told("usage", "kind", "day", "locale"),
        "item": ("usage", "tip"),
        "pseudonym": KEYS,
    },
    "campaign_delivery": {
        **_told("newsletters", "state", "reason", "attempts"),
        "closed_at": ("newsletters", "ended_at"),
        "campaign_id": ("newsletters", "newsletter"),
        "subject_id": LINK,
        **dict.fromkeys(("due_at", "leased_until"), SCHEDULE),
    },
    "entry_link": {"entry_id": ("entries", "entry"), "subject_id": LINK, "ordinal": "their order"},
    "current_decision": {
        "subject_id": LINK,
        "purpose_id": ("decisions", "purpose"),
        "state": ("decisions", "decision"),
        "entry_id": ("decisions", "entry"),
        "presentation": ("decisions", "shown"),
        **_told("decisions", "at", "purpose_version", "expires_at"),
    },
    "renewal_ask": {
        "entry_id": ("decisions", "entry"),
        "purpose_version": "internal: so that nobody is asked twice about the same words",
        "subject_id": LINK,
        "asked_at": ("decisions", "renewal_asked_at"),
    },
    "data_subject_request": {
        **_told("requests", "reference", "kind", "state", "channel", "locale", "about_purpose"),
        **_told("requests", "received_at", "due_on", "verified_at", "act_at", "extended_at"),
        **_told("requests", "reason", "closed_at"),
        "id": ROW,
        "subject_id": LINK,
    },
    "request_text": {
        **_told("case_texts", "author", "words", "written_at"),
        "id": ROW,
        "request_id": ("case_texts", "reference"),
        "subject_id": LINK,
    },
    "recipient_notice": {
        **_told("recipients", "state", "at", "done_at"),
        "processor": ("recipients", "recipient"),
        "kind": ("recipients", "told_of"),
        "id": ROW,
        "subject_id": LINK,
    },
    "export_archive": {
        **_told("exports", "state", "locale", "asked_at", "done", "total", "size", "expires_at"),
        "id": ROW,
        "request_id": ROW,
        "subject_id": LINK,
        "leased_until": SCHEDULE,
    },
    "export_part": {
        "archive_id": ROW,
        "number": "the order of the parts",
        "sealed": "a copy of what is in this copy",
    },
    "imported_document": {**_told("imported", "document", "imported_at"), "subject_id": LINK},
    "legal_hold": {
        **_told("holds", "ground", "reason", "holdings", "placed_at", "ended_at"),
        "review_on": ("holds", "until"),
        "reminded_at": "when the operator, not the person, was reminded to look at it again",
        "id": ROW,
        "subject_id": LINK,
    },
    "correspondent": {
        **_told("correspondent", "email", "locale", "opened_at"),
        "subject_id": LINK,
        "email_lookup": KEYS,
    },
    "subscription": {
        **_told("subscriptions", "started_on", "ended_on", "warned_at"),
        "id": ROW,
        "subject_id": LINK,
    },
    "signed_link": {
        **_told("links", "kind", "issued_at", "expires_at", "used_at"),
        "id": ROW,
        "token_hash": KEYS,
        "subject_id": LINK,
        "request_id": ROW,
        "stamp": "the account's, when it was issued",
    },
    "attempt": {"id": ROW, "kind": ("attempts", "kind"), "key": KEYS, "at": ("attempts", "at")},
    "outbox_message": {
        **_told("messages", "kind", "state", "created_at"),
        "payload": ("messages", "to"),
        "about": LINK,
        **dict.fromkeys(("id", "message_id"), ROW),
        **dict.fromkeys(("due_at", "attempts", "leased_until", "failure", "closed_at"), SCHEDULE),
    },
    "accounting_record": {
        **_told("accounting", "invoice_number", "invoice_date", "financial_year", "currency"),
        **_told("accounting", "amount", "vat", "item", "keep_until"),
        "buyer": ("accounting", "buyer_name"),
        "id": ROW,
        "customer": KEYS,
    },
}
