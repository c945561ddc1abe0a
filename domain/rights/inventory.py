"""The inventory of everything kept about people.

Access and erasure walk it and know no tables. The order is that of erasure: what points at a
person goes before the person, and the subject's key goes last.
"""

from __future__ import annotations

from domain.consent import holdings as consent
from domain.holding import Holding
from domain.identity import holdings as identity
from domain.rights import messages, requests
from domain.subjects import service as subjects

INVENTORY: tuple[Holding, ...] = (
    *messages.HOLDINGS,
    *consent.HOLDINGS,
    *requests.HOLDINGS,
    *identity.HOLDINGS,
    *subjects.HOLDINGS,
)
