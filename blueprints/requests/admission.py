"""Who may see a request in this browser, and who may act on it.

Who is signed in sees their own. Anybody else sees the one that they verified here by a link, for
half an hour: in this browser and in no other, and not once the password or the address is another.
"""

from __future__ import annotations

from flask import abort, redirect, url_for
from flask import session as cookie
from flask.typing import ResponseReturnValue

from domain.identity import signed_links
from domain.rights import requests
from domain.rights.models import DataSubjectRequest
from extensions import current_user, now, reading

# How long a verified person may take to press the button. The link itself is used up by then.
_MINUTES = 30


def admit(
    asked: DataSubjectRequest, *, acting: bool, page: str = "requests.show"
) -> ResponseReturnValue:
    """Let this browser, and no other, see the request for half an hour, and finish it if
    `acting`: a link that only shows a case is no proof for more (requirement 68)."""
    until = int(now().timestamp()) + _MINUTES * 60
    with reading() as session:
        stamp = signed_links.stamp_of(session, asked.subject_id) if asked.subject_id else None
    cookie["request"] = {"id": str(asked.id), "until": until, "acts": acting, "stamp": stamp}
    return redirect(url_for(page, reference=asked.reference), code=303)


def may_act(asked: DataSubjectRequest) -> bool:
    """Whether it was verified in this browser, a moment ago."""
    kept = _kept(asked)
    return kept is not None and kept.get("acts") is True


def is_own(asked: DataSubjectRequest) -> bool:
    """Whether it is about who is signed in."""
    return bool(current_user.is_authenticated) and asked.subject_id == current_user.subject_id


def visible(reference: str) -> DataSubjectRequest:
    """The request, if it may be seen here; else 404, as where there is none."""
    with reading() as session:
        asked = requests.by_reference(session, reference)
    if asked is None or not (is_own(asked) or _kept(asked)):
        abort(404)
    return asked


def _kept(asked: DataSubjectRequest) -> dict[str, object] | None:
    kept = cookie.get("request")
    if not isinstance(kept, dict) or kept.get("id") != str(asked.id):
        return None
    if int(kept.get("until", 0)) < now().timestamp():
        return None
    if asked.subject_id is None:
        return kept  # erased: the page says so, and there is nothing left to protect
    with reading() as session:
        stamp = signed_links.stamp_of(session, asked.subject_id)
    return kept if kept.get("stamp") == stamp else None
