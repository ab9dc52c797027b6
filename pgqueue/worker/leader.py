"""What one worker of the fleet does for all: rescue and retention.

Being leader is a session advisory lock on the steward's connection, asked for at each tick and never remembered: it is
free again the moment its holder dies. A leader that froze, or whose machine vanished, may keep the lead for hours: so
everybody looks for the dead now and then, and a rescue ends the session of a worker that is silent for too long.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import psycopg

from pgqueue import calls
from pgqueue.calls import Call
from pgqueue.worker.logs import fields, log

RESCUE: Final = 10.0
"""Seconds between rescues by a worker that does not lead; the leader's own come at each tick."""
MAINTAIN: Final = 3600.0
"""Seconds between rounds of retention."""
MAINTAIN_AGAIN: Final = 60.0
"""Seconds until the next try when a long read of the archive was in the way."""


class Leader:
    """The duties of the leader; while another worker has the lead, only those that would fail with it."""

    def __init__(self) -> None:
        self._rescue_at = 0.0
        self._maintain_at = 0.0

    def tick(self, do: Callable[[Call[Any]], Any], now: float) -> None:
        """Does what is due. do: runs a call on the steward's connection. now: `time.monotonic`."""
        leads = do(calls.lead())
        if not leads and now < self._rescue_at:
            return
        self._rescue_at = now + RESCUE
        for worker, jobs in do(calls.rescue()):
            log.warning("a worker died; its jobs were given back", extra=fields(died=worker, jobs=jobs))
        if leads and now >= self._maintain_at:
            self._maintain_at = now + MAINTAIN
            try:
                do(calls.maintain())
            except psycopg.errors.LockNotAvailable as error:
                self._maintain_at = now + MAINTAIN_AGAIN
                log.info("retention waits for a long read of the archive", extra=fields(error=str(error).strip()))
