"""Counting what is used: a member by the account's decision, anybody else by the browser's.

It is done when the answer has been sent, so no page waits for it, and none fails by it: what goes
wrong is logged by its class, with nothing of the person in it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import structlog
from flask import Response, after_this_request

import visiting
from domain.analytics import recording, usage
from domain.analytics.usage import Kind
from extensions import current_user, database, locale, now, signal

__all__ = ["Kind", "count"]

log = structlog.get_logger()


def count(item: str, kind: Kind) -> None:
    """Count that whoever sent this request did this with a tip or a tool, if they may be counted.

    `item` is the tip's or tool's slug. The page must not depend on what comes of it.
    """
    try:
        who = _who()
    except Exception as error:
        log.error("usage_not_counted", error=type(error).__name__)
        return
    if who is None:
        return
    doing = partial(
        recording.record, database(), item, kind, locale(), **who, signal=signal(), at=now()
    )

    @after_this_request
    def afterwards(response: Response) -> Response:
        response.call_on_close(partial(_quietly, doing))
        return response


def _who() -> dict[str, Any] | None:
    """Whose decision counts; None where a visitor has said no, or nothing. A member's decision is
    looked at when it is recorded."""
    if current_user.is_authenticated:
        return {"subject_id": current_user.subject_id}
    token, choice = visiting.counting_token(), visiting.choice()
    if token is None or choice is None:
        return None
    yes = choice.permits(visiting.register(), usage.PURPOSE, signal=signal(), at=now())
    return {"browser": token} if yes else None


def _quietly(doing: Callable[[], bool]) -> None:
    try:
        doing()
    except Exception as error:
        log.error("usage_not_counted", error=type(error).__name__)
