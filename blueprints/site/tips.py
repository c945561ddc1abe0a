"""Tips and tools. They are open to everybody, and look the same whatever was consented to:
what is counted is counted beside the page, for who said yes to it, and never shown on it."""

from __future__ import annotations

from itertools import groupby

from flask import abort, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from markupsafe import Markup

import counting
from blueprints.site import tools
from blueprints.site.views import bp, library
from domain.analytics.usage import Kind
from domain.dates import local_day
from domain.tips.library import Tip
from extensions import came_from, csrf, locale, now, same_site

ANSWERS = {"yes": Kind.USEFUL, "no": Kind.NOT_USEFUL}


@bp.get("/tips")
def tips() -> ResponseReturnValue:
    """Everything that is published, by topic."""
    shown = library().on(local_day(now()))
    topics = [(topic, list(tips)) for topic, tips in groupby(shown, lambda tip: tip.topic)]
    return render_template("site/tips.html", topics=topics)


@bp.get("/tips/<slug>")
def tip(slug: str) -> ResponseReturnValue:
    """One tip, its tool with what came of it, and the way to the next."""
    found = _find(slug)
    used = tools.use(found.tool) if found.tool else None
    if _opened():
        _count(found, used)
    page = render_template(
        "site/tip.html",
        tip=found,
        text=found.text[locale()],
        # Safe: `to_html` lets only a short list of tags through.
        words=Markup(found.text[locale()].html),  # noqa: S704
        used=used,
        form=used.form if used else None,
        names=tools,
        answered="answered" in request.args,
        following=library().after(found, on=local_day(now())),
    )
    return page, 422 if used and used.form.errors else 200


@bp.post("/tips/<slug>")
@csrf.exempt
def answer(slug: str) -> ResponseReturnValue:
    """«Was this useful?» Everybody may say; of who has not said yes to it nothing is counted.

    Visitors get no session for it, so no token either: the browser says where the form stood.
    """
    if not same_site():
        abort(403)
    found = _find(slug)
    kind = ANSWERS.get(request.form.get("useful", ""))
    if kind is None:
        abort(400)
    for one in (Kind.FINISHED, kind):
        counting.count(found.slug, one)
    target = url_for(".tip", slug=found.slug, answered="", _anchor="useful")
    return redirect(target, code=303)


def _find(slug: str) -> Tip:
    """The tip, or 404 where there is none, or none yet."""
    return library().find(slug, on=local_day(now())) or abort(404)


def _opened() -> bool:
    """Whether somebody opened the page: not a machine that only asks for it, nor a browser that
    fetches it in case it is wanted."""
    said = (request.headers.get(name, "") for name in ("Sec-Purpose", "Purpose", "X-Moz"))
    return request.method == "GET" and not any("prefetch" in one.lower() for one in said)


def _count(found: Tip, used: tools.Used | None) -> None:
    """What opening this address says: it was read, the tool was used, the one before finished."""
    counting.count(found.slug, Kind.READ)
    if _came_back():
        return
    before = request.args.get("after", "")
    if before != found.slug and library().find(before, on=local_day(now())):
        counting.count(before, Kind.FINISHED)
    if used and used.result is not None:
        counting.count(found.slug, Kind.USED)


def _came_back() -> bool:
    """Whether the very same address led here, as it does when the visitors' choice is answered on
    it: what else it tells of was done before the answer."""
    came = came_from()
    return (came.path, came.query) == (request.path, request.query_string.decode("latin-1"))
