"""What tests share: the fixed time, and helpers that are no tests themselves."""

from __future__ import annotations

from datetime import UTC, datetime

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
