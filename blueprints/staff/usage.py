"""What is used: which tips and tools are read, finished and found useful, never by whom."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flask import current_app, render_template, request, url_for
from flask.typing import ResponseReturnValue

from blueprints.staff import bp
from domain.analytics import report
from domain.analytics.lapsing import FEWEST
from domain.analytics.report import Group
from domain.analytics.usage import Kind
from domain.dates import local_day
from domain.locales import LOCALES
from domain.tips.library import Library
from extensions import for_staff, locale, now, reading

# A quarter, half a year, and a little more than a year.
SPANS = (13, 26, 56)


@dataclass(frozen=True)
class Asked:
    """What the page is to show: how many weeks, one language or all, one tip or all."""

    weeks: int = SPANS[0]
    language: str | None = None
    item: str | None = None

    @classmethod
    def sent(cls) -> Asked:
        """What stands in the address, as far as it is known."""
        weeks, language = request.args.get("weeks", type=int), request.args.get("language")
        item = request.args.get("item")
        return cls(
            weeks if weeks in SPANS else SPANS[0],
            language if language in LOCALES else None,
            item if item in titles() else None,
        )

    def fits(self, one: Group) -> bool:
        """Whether a group is among what is asked for."""
        return self.language in (None, one.locale) and self.item in (None, one.item)

    def url(self, **changed: Any) -> str:
        """The same page, with something else asked for."""
        return url_for(".usage", **{**vars(self), **changed})


@bp.get("/usage")
@for_staff
def usage() -> ResponseReturnValue:
    """People in a week, by tip and by week and language; groups of fewer than five are left out."""
    asked = Asked.sent()
    weeks = report.weeks(local_day(now()), asked.weeks)
    with reading() as session:
        found = [one for one in report.groups(session, weeks) if asked.fits(one)]
    named = titles()
    by_item = report.sums(found, lambda one: one.item)
    return render_template(
        "staff/usage.html",
        asked=asked,
        spans=SPANS,
        kinds=[kind for kind in Kind if any(one.kind is kind for one in found)],
        weeks=weeks,
        fewest=FEWEST,
        named=named,
        by_item=dict(sorted(by_item.items(), key=lambda one: named.get(one[0], one[0]))),
        by_week=report.sums(found, lambda one: (one.week, one.locale)),
    )


def titles() -> dict[str, str]:
    """What the tips are called, by slug."""
    library: Library = current_app.extensions["tips"]
    return library.titles(locale())
