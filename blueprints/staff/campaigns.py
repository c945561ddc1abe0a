"""Newsletters: listed, sent, and followed on their way."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from flask import abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from sqlalchemy.orm import Session

from blueprints.staff import bp
from blueprints.staff.forms import SeenForm
from domain.locales import LOCALES
from domain.marketing import campaigns
from domain.marketing.campaigns import CampaignState, Text
from domain.marketing.errors import Changed, Incomplete, NotNow, UnknownCampaign
from extensions import for_staff, now, reading, settings, transaction
from extensions import number as in_words


@bp.get("/")
@for_staff
def front() -> ResponseReturnValue:
    """What there is for those who work here."""
    return render_template("staff/front.html")


@bp.get("/campaigns")
@for_staff
def listed() -> ResponseReturnValue:
    """Every newsletter, newest first."""
    with reading() as session:
        rows = [
            (row, in_order(campaigns.texts(session, row.id)), campaigns.progress(session, row.id))
            for row in campaigns.listed(session)
        ]
    return render_template("staff/campaigns.html", rows=rows)


@bp.get("/campaigns/<uuid:campaign_id>")
@for_staff
def campaign(campaign_id: UUID) -> ResponseReturnValue:
    """One newsletter: what it says, what it lacks, and how far it has come."""
    with reading() as session:
        shown = _shown(session, campaign_id)
    return render_template("staff/campaign.html", **shown)


@bp.get("/campaigns/<uuid:campaign_id>/send")
@for_staff
def confirm(campaign_id: UUID) -> ResponseReturnValue:
    """To how many it would go now, and the button that sends it."""
    with reading() as session:
        shown = _shown(session, campaign_id)
        if shown["progress"].state is not CampaignState.DRAFT:
            return redirect(_page(campaign_id), code=303)
        number = campaigns.recipients(session, at=now())
    form = SeenForm(data={"seen": campaigns.mark(shown["texts"])})
    return render_template("staff/send.html", number=number, form=form, **shown)


@bp.post("/campaigns/<uuid:campaign_id>/send")
@for_staff
def send(campaign_id: UUID) -> ResponseReturnValue:
    """Start it: the worker sends the mails."""
    if settings().marketing_from is None:
        abort(400)
    try:
        with transaction() as session:
            # Nobody sends words that they were not shown.
            seen = request.form.get("seen", "")
            number = campaigns.start(session, campaign_id, at=now(), seen=seen)
    except (UnknownCampaign, NotNow, Incomplete, Changed) as error:
        return _refused(campaign_id, error)
    told = _("The newsletter is on its way. Recipients: %(number)s.", number=in_words(number))
    flash(told, "success")
    return redirect(_page(campaign_id), code=303)


@bp.post("/campaigns/<uuid:campaign_id>/pause")
@for_staff
def pause(campaign_id: UUID) -> ResponseReturnValue:
    """Send no more of it for now."""
    return _done(campaign_id, CampaignState.PAUSED)


@bp.post("/campaigns/<uuid:campaign_id>/resume")
@for_staff
def resume(campaign_id: UUID) -> ResponseReturnValue:
    """Go on with it."""
    return _done(campaign_id, CampaignState.SENDING)


@bp.post("/campaigns/<uuid:campaign_id>/cancel")
@for_staff
def cancel(campaign_id: UUID) -> ResponseReturnValue:
    """Send no more of it, ever."""
    return _done(campaign_id, CampaignState.CANCELLED)


def in_order(texts: Mapping[str, Text]) -> dict[str, Text]:
    """What it says, by language as the site lists them."""
    return {locale: texts[locale] for locale in LOCALES if locale in texts}


def _page(campaign_id: UUID) -> str:
    return url_for(".campaign", campaign_id=campaign_id)


def _shown(session: Session, campaign_id: UUID) -> dict[str, Any]:
    """What pages about one newsletter speak of. Somebody may have made its address up."""
    try:
        found = campaigns.get(session, campaign_id)
    except UnknownCampaign:
        abort(404)
    texts = in_order(campaigns.texts(session, campaign_id))
    return {
        "campaign": found,
        "texts": texts,
        "missing": campaigns.missing(texts),
        "progress": campaigns.progress(session, campaign_id),
        "sender": settings().marketing_from,
    }


def _done(campaign_id: UUID, state: CampaignState) -> ResponseReturnValue:
    said = {
        CampaignState.PAUSED: _(
            "The newsletter is paused. Nobody gets it until you go on. If you do not do so within "
            "%(days)d days, it is stopped for good.",
            days=campaigns.PAUSED_FOR.days,
        ),
        CampaignState.SENDING: _("The newsletter is on its way again."),
        CampaignState.CANCELLED: _("The newsletter is stopped. Nobody more gets it."),
    }
    try:
        with transaction() as session:
            if state is CampaignState.PAUSED:
                campaigns.pause(session, campaign_id, at=now())
            elif state is CampaignState.SENDING:
                campaigns.resume(session, campaign_id)
            else:
                campaigns.cancel(session, campaign_id, at=now())
    except (UnknownCampaign, NotNow) as error:
        return _refused(campaign_id, error)
    flash(said[state], "success")
    return redirect(_page(campaign_id), code=303)


def _refused(campaign_id: UUID, error: Exception) -> ResponseReturnValue:
    if isinstance(error, UnknownCampaign):
        abort(404)
    if isinstance(error, Incomplete):
        flash(_("Nothing was sent: the newsletter is not complete."), "error")
    elif isinstance(error, Changed):
        flash(_("Nothing was sent: somebody changed the newsletter meanwhile."), "error")
    else:
        flash(_("Nothing was done: the newsletter had come further than the page said."), "error")
    return redirect(_page(campaign_id), code=303)
