"""A link that is not there.

Links are not in the log: whoever owns the database can take the newest of a person away, lower
`subject.linked` and make the projection again, and everything holds. Only somebody who kept the
receipt of that entry can tell, since its tag is made with the person's key.
"""

from __future__ import annotations

import hmac
from uuid import UUID

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from domain.keys import SecretError
from domain.ledger.entry import Entry
from domain.ledger.invariants import stream
from domain.subjects.models import EntryLink, Subject
from domain.subjects.service import unwrap
from domain.subjects.tags import tag


def owner(session: Session, entry: Entry) -> UUID | None:
    """Whose entry this is, where no link says so; None where one does, or it is about nobody who
    is still here. Tries everybody's key, one at a time."""
    if session.scalar(select(exists().where(EntryLink.entry_id == entry.id))):
        return None
    for subject_id, wrapped_key in stream(session, select(Subject.id, Subject.wrapped_key)):
        try:
            key = unwrap(session, subject_id, wrapped_key)
        except SecretError:
            continue  # invariant 9 says so
        if hmac.compare_digest(tag(key, entry.id), entry.tag):
            found: UUID = subject_id
            return found
    return None
