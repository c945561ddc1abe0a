"""The tag that ties an entry to a subject for whoever has the subject's key, and only them."""

from __future__ import annotations

import hashlib
import hmac


def tag(key: bytes, entry_id: str) -> str:
    """Hex of HMAC-SHA256(subject key, the 16 bytes of the entry's id).

    The id makes each of a person's tags another one; without the key nobody can tell whether
    two entries are about the same person, nor after erasure about whom (GDPR art. 17).
    """
    return hmac.new(key, bytes.fromhex(entry_id), hashlib.sha256).hexdigest()
