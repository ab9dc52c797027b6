"""What one worker of the fleet does for all: schedules, rescue, expiry and retention.

Being leader is a session advisory lock on the steward's connection, asked for at each tick and never remembered: it is
free again the moment its holder dies. A leader that froze may keep the lead for as long as its session lasts: so
everybody looks now and then for the dead and for jobs that expired, and a rescue ends the session of a worker that is
silent for too long. Until then everybody fires the schedules that are overdue.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import psycopg

from pgqueue import calls
from pgqueue.calls import Beat, Call, schedules
from pgqueue.worker.logs import fields, log
from pgqueue.worker.timetable import Timetable

RESCUE: Final = 2.0
"""Seconds between looks for the dead by a worker that does not lead: the leader, which looks at each tick, may be
frozen."""
LATE: Final = 5.0
"""Seconds between ticks that tell of a server too busy to hear beats, or of a machine that was frozen whole."""
LONGEST_PAUSE: Final = 2.0
"""Seconds between tries of a steward to connect, more or less a quarter. Shorter than other connections': how soon the
jobs of the dead start again after an outage depends on it."""
TRY: Final = 5.0
"""Seconds that a try to connect may take when nobody answers: `connect_timeout`."""
RESTARTED: Final = 10.0
"""Seconds, at most, for who has not beaten since the server started: tries that time out, and the pause between."""
MAINTAIN: Final = 3600.0
"""Seconds between rounds of retention."""
MAINTAIN_AGAIN: Final = 60.0
"""Seconds until the next try when a long read of the archive was in the way."""
FORGET: Final = 600.0
"""Seconds between rounds of forgetting unique keys that nobody holds."""
FORGET_AT_ONCE: Final = 10_000
"""Keys forgotten in one transaction; if there are more, the next tick goes on."""
VANISHED: Final = 20.0
"""Seconds between looks for schedules that vanished from the code."""


@dataclass
class Outage:
    """The server was out of reach, as one worker saw it. began: by `time.monotonic`."""

    began: float
    whole: bool = True
    """Whether it was there when it began: else it may have begun long before."""
    slowest: float = 0.0
    """Seconds that the slowest try to connect took."""


class Leader:
    """The duties of the leader; while another worker has the lead, only those that would fail with it."""

    def __init__(self) -> None:
        self.timetable = Timetable()
        self._told: set[str] = set()
        """Schedules that vanished from the code, and of which the log has told."""
        self._vanished_at = math.inf
        self._ticked_at: float | None = None
        self._grace_until = 0.0
        self._whole = False
        """Whether this worker was there when the server started: then it has given grace for it."""
        self._rescue_at = 0.0
        self._maintain_at = 0.0
        self._forget_at = 0.0

    def returned(self, outage: Outage, now: float) -> None:
        """The steward has its connection back; now: `time.monotonic`.

        What took it away may have taken everybody's: who is silent for that reason gets time to come back too. Tries
        double their pauses, so nobody needs much longer than it was away; and nobody longer than the longest pause and
        one more try, that takes as long as ours did. No more than that: outages that follow each other add up, and the
        jobs of the dead wait for the end of the last grace.
        """
        grace = min(1.5 * (now - outage.began), 1.25 * LONGEST_PAUSE + outage.slowest)
        self._grace_until = now + 1.0 + grace
        self._whole = self._whole or outage.whole
        self._ticked_at = None

    def tick(self, do: Callable[[Call[Any]], Any], now: float, beat: Beat | None = None) -> None:
        """Does what is due.

        do:    runs a call on the steward's connection.
        now:   `time.monotonic`.
        beat:  the worker's sign of life, given along.
        """
        if self._ticked_at is not None and now - self._ticked_at > LATE:
            self.returned(Outage(self._ticked_at, whole=False, slowest=TRY), now)
        self._ticked_at = now
        seen = self.timetable.look(do, beat)
        if seen.leads or now >= max(self._grace_until, self._rescue_at):
            self._rescue_at = now + RESCUE
            if seen.rescue and now >= self._grace_until:
                self._rescue(do)
            if seen.tidy:
                self._tidy(do)
        if seen.leads:
            if seen.forget:
                do(calls.forget_sleepers())
            self._forget(do, now)
            self._maintain(do, now)
        self._tell_vanished(do, seen.leads, now)

    def _rescue(self, do: Callable[[Call[Any]], Any]) -> None:
        for worker, jobs in do(calls.rescue(0.0 if self._whole else RESTARTED)):
            log.warning("a worker died; its jobs were given back", extra=fields(died=worker, jobs=jobs))

    def _tidy(self, do: Callable[[Call[Any]], Any]) -> None:
        expired, _ = do(calls.tidy())
        if expired:
            log.info("jobs expired before they could start", extra=fields(jobs=expired))

    def _forget(self, do: Callable[[Call[Any]], Any], now: float) -> None:
        if now >= self._forget_at and do(calls.forget_keys(FORGET_AT_ONCE)) < FORGET_AT_ONCE:
            self._forget_at = now + FORGET

    def _maintain(self, do: Callable[[Call[Any]], Any], now: float) -> None:
        if now < self._maintain_at:
            return
        self._maintain_at = now + MAINTAIN
        try:
            do(calls.maintain())
        except psycopg.errors.LockNotAvailable as error:
            self._maintain_at = now + MAINTAIN_AGAIN
            log.info("retention waits for a long read of the archive", extra=fields(error=str(error).strip()))

    def _tell_vanished(self, do: Callable[[Call[Any]], Any], leads: bool, now: float) -> None:
        """Says once which schedules are in no running worker's code. Not at once: others may just be starting."""
        if not leads:
            self._vanished_at = math.inf
        elif self._vanished_at == math.inf:
            self._vanished_at = now + VANISHED
        elif now >= self._vanished_at:
            self._vanished_at = now + VANISHED
            vanished = set(do(schedules.vanished()))
            for name in sorted(vanished - self._told):
                log.warning(
                    "schedule is in the code of no running worker; it goes on until it is removed",
                    extra=fields(schedule=name),
                )
            self._told = vanished
