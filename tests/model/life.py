"""A job's life as a pure model: what the SQL functions must do, without SQL, locks or time zones.

A worker holds a job by a token, (id, claims). Time is a number of seconds that only ever moves forward.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import NamedTuple

Token = tuple[int, int]
CRASH_PAUSES = {1: 0, 2: 1, 3: 2, 4: 4}
"""Seconds until the next attempt, by the number of the attempt that died with its worker."""


class Refused(Exception):
    """The verb does not apply; nothing changed."""


class Seen(NamedTuple):
    """What the views and tables show of a job."""

    state: str
    attempt: int
    claims: int
    failures: int


@dataclass
class Life:
    """One job."""

    max_attempts: int
    run_at: float
    priority: int
    state: str = "waiting"
    attempt: int = 0
    claims: int = 0
    failures: int = 0
    worker: int | None = None
    asked: bool = False
    """Whether it was cancelled while it runs."""
    expires_at: float = math.inf


@dataclass
class World:
    """All jobs by id, and the workers that live."""

    now: float = 0.0
    jobs: dict[int, Life] = field(default_factory=dict)
    workers: set[int] = field(default_factory=set)

    def seen(self) -> dict[int, Seen]:
        return {id: Seen(self.state(job), job.attempt, job.claims, job.failures) for id, job in self.jobs.items()}

    def state(self, job: Life) -> str:
        return job.state if job.state != "waiting" else "ready" if job.run_at <= self.now else "scheduled"

    def claim(self, worker: int, limit: int) -> list[Token]:
        if worker not in self.workers:
            raise Refused
        due = {id: job for id, job in self.jobs.items() if self.state(job) == "ready" and job.expires_at > self.now}
        ready = [(job.priority, job.run_at, id) for id, job in due.items()]
        taken = [id for *_, id in sorted(ready)[:limit]]
        for job in map(self.jobs.__getitem__, taken):
            job.state, job.worker, job.attempt, job.claims = "running", worker, job.attempt + 1, job.claims + 1
        return [(id, self.jobs[id].claims) for id in taken]

    def held(self, worker: int, token: Token) -> Life | None:
        """The job, if that worker holds it under that claim: the fence."""
        job = self.jobs.get(token[0])
        return job if job and (job.worker, job.claims) == (worker, token[1]) else None

    def finish(self, worker: int, token: Token) -> bool:
        if job := self.held(worker, token):
            job.state, job.worker, job.asked = "completed", None, False
        return job is not None

    def fail(self, worker: int, token: Token, retry_in: float | None) -> bool:
        if job := self.held(worker, token):
            again = retry_in is not None and job.attempt < job.max_attempts
            ended = "cancelled" if job.asked else "waiting" if again else "failed"
            job.state, job.worker, job.asked, job.failures = ended, None, False, job.failures + 1
            job.run_at = self.now + (retry_in or 0)
        return job is not None

    def release(self, worker: int, token: Token) -> bool:
        if job := self.held(worker, token):
            if job.asked:
                job.state, job.worker, job.asked = "cancelled", None, False
            else:
                job.state, job.worker, job.attempt = "waiting", None, job.attempt - 1
        return job is not None

    def snooze(self, worker: int, token: Token, delay: float) -> bool:
        if job := self.held(worker, token):
            self.release(worker, token)
            job.run_at = self.now + delay
        return job is not None

    def abandon(self, worker: int, token: Token) -> bool:
        if job := self.held(worker, token):
            job.state, job.worker, job.asked = "cancelled", None, False
        return job is not None

    def reconcile(self, worker: int, known: set[Token]) -> set[int]:
        held = {(id, job.claims) for id, job in self.jobs.items() if job.worker == worker}
        return {token[0] for token in held - known if self.release(worker, token)}

    def leave(self, worker: int) -> None:
        self.reconcile(worker, set())
        self.workers.discard(worker)

    def rescue(self, worker: int) -> int:
        """The worker died; returns how many jobs died with it."""
        self.workers.remove(worker)
        held = [(id, job.claims) for id, job in self.jobs.items() if job.worker == worker]
        return sum(self.fail(worker, token, CRASH_PAUSES[self.jobs[token[0]].attempt]) for token in held)

    def cancel(self, id: int) -> str:
        if id not in self.jobs or self.jobs[id].state not in ("waiting", "running"):
            raise Refused
        if self.jobs[id].state == "running":
            self.jobs[id].asked = True
            return "asked"
        self.jobs[id].state = "cancelled"
        return "cancelled"

    def expire(self) -> int:
        """Returns how many jobs waited for too long."""
        late = [job for job in self.jobs.values() if job.state == "waiting" and job.expires_at <= self.now]
        for job in late:
            job.state = "expired"
        return len(late)

    def retry(self, id: int) -> None:
        if id not in self.jobs or self.jobs[id].state not in ("failed", "cancelled", "expired"):
            raise Refused
        job = self.jobs[id]
        job.state, job.attempt, job.run_at, job.expires_at = "waiting", 0, self.now, math.inf
