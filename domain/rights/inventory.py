"""The inventory of everything kept about people.

Access and erasure walk it and know no tables. The order is that of erasure: what points at a
person goes before the person, what is found by an address before the address, and the subject's
key goes last.
"""

from __future__ import annotations

from domain.accounting import records as accounting
from domain.analytics import holdings as analytics
from domain.consent import holdings as consent
from domain.holding import Holding
from domain.identity import correspondents, subscriptions
from domain.identity import holdings as identity
from domain.marketing import holdings as marketing
from domain.rights import archives, brought, cases, held, messages, recipients, requests
from domain.subjects import service as subjects

INVENTORY: tuple[Holding, ...] = (
    *messages.HOLDINGS,
    *archives.HOLDINGS,
    *cases.HOLDINGS,
    *recipients.HOLDINGS,
    *analytics.HOLDINGS,
    *marketing.HOLDINGS,
    *consent.HOLDINGS,
    *requests.HOLDINGS,
    *subscriptions.HOLDINGS,
    *brought.HOLDINGS,
    *identity.HOLDINGS,
    *correspondents.HOLDINGS,
    *held.HOLDINGS,
    # The law keeps it, whoever asks: erasing passes it by (domain/accounting/records.py).
    *accounting.HOLDINGS,
    *subjects.HOLDINGS,
)
