"""The statements of every decision, made once: building them takes longer than running them."""

from __future__ import annotations

from sqlalchemy import bindparam, exists, select

from database import table_of
from domain.consent.models import CurrentDecision, NoticeVersion, Presentation
from domain.consent.presentations import IN_FORCE, NOTICE
from domain.subjects.models import EntryLink, Subject

DECISION = table_of(CurrentDecision)
_LINK, _SUBJECT, _PRESENTATION = EntryLink.__table__, Subject.__table__, Presentation.__table__

# What a new decision depends on, a row for each purpose decided so far: the person, the newest
# decision with its place among all that was recorded about them, and whether what they were
# shown is stored already.
STANDING = (
    select(
        _SUBJECT.c.wrapped_key,
        _SUBJECT.c.declared_age,
        _SUBJECT.c.linked,
        DECISION.c.purpose_id,
        DECISION.c.state,
        DECISION.c.purpose_version,
        DECISION.c.expires_at,
        _LINK.c.ordinal,
        exists().where(_PRESENTATION.c.hash == bindparam("hash")).correlate(None).label("stored"),
    )
    .select_from(
        _SUBJECT.outerjoin(DECISION, DECISION.c.subject_id == _SUBJECT.c.id).outerjoin(
            _LINK, _LINK.c.entry_id == DECISION.c.entry_id
        )
    )
    .where(_SUBJECT.c.id == bindparam("subject"))
)

# The same, and the privacy notice of a day in each language it was published in: a row for
# each pair of notice and decision. There are a handful, and it spares a journey.
_EFFECTIVE_ON, _LOCALE, _HASH = NOTICE
STANDING_AND_NOTICES = STANDING.add_columns(
    _EFFECTIVE_ON, _LOCALE, _HASH.label("notice")
).outerjoin(NoticeVersion.__table__, IN_FORCE)
