"""The notices: the one in force, and every version there has been."""

from __future__ import annotations

from datetime import date

from flask import abort, render_template
from flask.typing import ResponseReturnValue
from flask_babel import get_locale
from flask_babel import lazy_gettext as _
from markupsafe import Markup
from sqlalchemy.orm import Session

from blueprints.site.views import bp
from domain.consent import notices
from domain.consent.errors import NoNotice
from domain.consent.markdown import to_html
from domain.consent.models import NoticeVersion
from domain.dates import local_day
from domain.locales import DEFAULT
from extensions import now, reading

NAMES = {"privacy": _("Privacy notice"), "terms": _("Terms")}
KIND = "<any(privacy, terms):kind>"


@bp.get(f"/notices/{KIND}")
def notice(kind: str) -> ResponseReturnValue:
    """The document that is in force today, in the reader's language."""
    with reading() as session:
        today = local_day(now())
        try:
            found = notices.in_force(session, kind, str(get_locale()), on=today)
        except NoNotice:
            abort(404)
        return _render(session, found, today)


@bp.get(f"/notices/{KIND}/versions")
def versions(kind: str) -> ResponseReturnValue:
    """Every published version, newest first."""
    with reading() as session:
        found = notices.versions(session, kind)
        if not found:
            abort(404)
        return render_template(
            "site/versions.html",
            kind=kind,
            name=NAMES[kind],
            versions=found,
            current=_current(session, kind, local_day(now())),
        )


@bp.get(f"/notices/{KIND}/versions/<date>")
def version(kind: str, date: str) -> ResponseReturnValue:
    """One version as published, for ever; in bokmål where it has no other language."""
    day = _day(date)
    with reading() as session:
        found = notices.get(session, kind, day, str(get_locale())) or notices.get(
            session, kind, day, DEFAULT
        )
        if found is None:
            abort(404)
        return _render(session, found, local_day(now()))


def _render(session: Session, found: NoticeVersion, today: date) -> str:
    languages = next(
        one.locales
        for one in notices.versions(session, found.kind)
        if one.effective_on == found.effective_on
    )
    return render_template(
        "site/notice.html",
        kind=found.kind,
        name=NAMES[found.kind],
        version=found,
        languages=languages,
        state=_state(found.effective_on, _current(session, found.kind, today), today),
        # Safe: `to_html` lets only a short list of tags through.
        text=Markup(to_html(found.content.decode())),  # noqa: S704
    )


def _current(session: Session, kind: str, today: date) -> date | None:
    try:
        return notices.in_force(session, kind, DEFAULT, on=today).effective_on
    except NoNotice:
        return None


def _state(effective_on: date, current: date | None, today: date) -> str:
    """Whether a version is in force, still to come, or archived."""
    if effective_on == current:
        return "in_force"
    return "coming" if effective_on > today else "archived"


def _day(text: str) -> date:
    """The date as the addresses write it, or 404: each version has one address."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        abort(404)
    if day.isoformat() != text:
        abort(404)
    return day
