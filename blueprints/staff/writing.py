"""Newsletters: written, and changed until they are sent."""

from __future__ import annotations

from uuid import UUID

from flask import abort, flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from blueprints.staff import bp
from blueprints.staff.forms import NewsletterForm
from domain.marketing import campaigns
from domain.marketing.campaigns import CampaignState
from domain.marketing.errors import Changed, NotNow, UnknownCampaign
from extensions import for_staff, keeps_typed, now, reading, transaction


@bp.route("/campaigns/new", methods=["GET", "POST"])
@for_staff
@keeps_typed
def new() -> ResponseReturnValue:
    """Write a newsletter. It may be kept before it is complete."""
    form = NewsletterForm()
    if not form.is_submitted():
        return render_template("staff/write.html", form=form)
    if not form.validate():
        return render_template("staff/write.html", form=form), 422
    with transaction() as session:
        campaign_id = campaigns.draft(session, form.texts(), at=now())
    return _kept(campaign_id)


@bp.route("/campaigns/<uuid:campaign_id>/edit", methods=["GET", "POST"])
@for_staff
@keeps_typed
def edit(campaign_id: UUID) -> ResponseReturnValue:
    """Change what a newsletter says that was not sent yet."""
    try:
        with reading() as session:
            campaign, texts = (
                campaigns.get(session, campaign_id),
                campaigns.texts(session, campaign_id),
            )
    except UnknownCampaign:
        abort(404)
    if campaign.state != CampaignState.DRAFT:
        return _too_late(campaign_id)
    form = NewsletterForm.of(texts)
    if not form.is_submitted():
        return render_template("staff/write.html", form=form, campaign=campaign)
    if not form.validate():
        return render_template("staff/write.html", form=form, campaign=campaign), 422
    try:
        with transaction() as session:
            campaigns.change(session, campaign_id, form.texts(), seen=form.seen.data or "")
    except Changed:
        form.overtaken(texts)
        return render_template("staff/write.html", form=form, campaign=campaign), 422
    except NotNow:
        return _too_late(campaign_id)
    return _kept(campaign_id)


def _kept(campaign_id: UUID) -> ResponseReturnValue:
    flash(_("The newsletter is saved. Nobody gets it before you send it."), "success")
    return redirect(url_for(".campaign", campaign_id=campaign_id), code=303)


def _too_late(campaign_id: UUID) -> ResponseReturnValue:
    flash(_("Nothing was changed: the newsletter was sent meanwhile."), "error")
    return redirect(url_for(".campaign", campaign_id=campaign_id), code=303)
