"""Errors of newsletters. None carries a name, an address or a token."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID


class MarketingError(Exception):
    """Base of this package's errors."""


class BadToken(MarketingError):
    """The token is none of ours: forged, cut short, changed, or made for something else."""

    def __init__(self) -> None:
        super().__init__("the token is none of ours")


class UnknownCampaign(MarketingError):
    """There is no such newsletter."""

    def __init__(self, campaign_id: UUID):
        super().__init__(f"no newsletter {campaign_id}")
        self.campaign_id = campaign_id


class NotNow(MarketingError):
    """The newsletter is in a state in which this cannot be done to it, or not any more."""

    def __init__(self, campaign_id: UUID, state: str):
        super().__init__(f"newsletter {campaign_id} is {state}")
        self.campaign_id = campaign_id
        self.state = state


class Changed(MarketingError):
    """Somebody else changed what the newsletter says since this one looked at it."""

    def __init__(self, campaign_id: UUID):
        super().__init__(f"newsletter {campaign_id} was changed meanwhile")


class Incomplete(MarketingError):
    """The newsletter lacks something that somebody would get: pairs of a language and `subject`
    or `words`."""

    def __init__(self, missing: Sequence[tuple[str, str]]):
        super().__init__(f"missing: {', '.join(f'{part} ({locale})' for locale, part in missing)}")
        self.missing = tuple(missing)
