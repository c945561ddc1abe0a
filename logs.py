"""Logs: UTC, one JSON object a line, ids and counts. Nothing personal, no token, no address."""

from __future__ import annotations

import logging
import sys

import structlog


def configure() -> None:
    """Write structured lines to standard error."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _without_locals,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


def _without_locals(
    logger: object, name: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """An exception is logged as its type and where it was raised. Its message is left out: a
    database error quotes the row, and a row may hold anything."""
    error = event.pop("exc_info", None)
    if isinstance(error, BaseException):
        event["error"] = type(error).__name__
        places = []
        trace = error.__traceback__
        while trace is not None:
            code = trace.tb_frame.f_code
            places.append(f"{code.co_filename.rpartition('/')[2]}:{trace.tb_lineno}:{code.co_name}")
            trace = trace.tb_next
        event["where"] = places[-8:]
    return event
