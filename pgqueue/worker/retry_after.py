"""The pause that a server asked for: the header Retry-After of a response 429 or 503 (RFC 9110, section 10.2.3).

Read off the error that a client raised for it, whichever client: httpx and requests keep the response in the error,
urllib and aiohttp the headers themselves.
"""

from __future__ import annotations

import time
from email.utils import parsedate_to_datetime
from typing import Any, Final

SHORTEST: Final = 1.0
LONGEST: Final = 3600.0
"""Seconds between which the pause is kept: 0 would be a loop without an end, and an hour later one may ask again."""

_STATUS: Final = ("status_code", "status", "code")


def retry_after(error: BaseException) -> float | None:
    """Seconds the server asked for, 1 to 3,600; None when the error is no such answer."""
    try:
        for answer in (getattr(error, "response", None), error):
            headers = getattr(answer, "headers", None)
            if headers and any(getattr(answer, name, None) in (429, 503) for name in _STATUS):
                asked = _seconds(headers)
                return None if asked is None else max(SHORTEST, min(LONGEST, asked))
    except Exception:  # properties of somebody else's error
        return None
    return None


def _seconds(headers: Any) -> float | None:
    value = headers.get("Retry-After") or headers.get("retry-after")
    if value is None:
        return None
    text = str(value).strip()
    if text.isascii() and text.isdigit():
        return float(text[:20])
    return parsedate_to_datetime(text).timestamp() - time.time()
