"""Those who enqueue meanwhile, in transactions of their own: each batch of jobs comes with a row of business.

So afterwards both must be there, or neither: also when the connection broke in the commit and nobody knows.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from typing import Any, Final, Literal, NamedTuple

import psycopg

from pgqueue import Job, enqueue, enqueue_many

TABLE: Final = "create table business (batch integer primary key); create table effect (job bigint not null)"
"""Rows of the producers, and of transactional handlers: nothing but these keeps a job from having two."""
PRODUCERS: Final = 2
PAUSE_SECONDS: Final = 0.12
"""Between two transactions of one producer, on average."""
KINDS: Final = {
    "quick": 8, "quick_sync": 5, "waits": 5, "waits_sync": 3, "fails_at_first": 2, "fails": 1,
    "writes": 4, "writes_sync": 3, "link": 2,
}  # fmt: skip
"""What is enqueued, and how often."""
Fate = Literal["committed", "rolled back", "unknown"]


class Batch(NamedTuple):
    """The jobs of one transaction. fate: unknown if its connection was lost before the answer to the commit."""

    id: int
    jobs: int
    fate: Fate


class Producers:
    """Threads that enqueue until they are told to stop. connect: opens a connection to the queue's database."""

    def __init__(self, seed: str, connect: Callable[[], psycopg.Connection[Any]]) -> None:
        self.batches: list[Batch] = []
        self._connect = connect
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._next = 0
        self._threads = [
            threading.Thread(target=self._produce, args=[random.Random(f"{seed}/producer {number}")])
            for number in range(PRODUCERS)
        ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def send(self, db: psycopg.Connection[Any], make: Callable[[int], list[Job]], keep: bool = True) -> None:
        """One transaction with the jobs that `make` gives for a new batch. keep: whether to commit it."""
        with self._lock:
            self._next += 1
            id = self._next
        jobs = make(id)
        fate: Fate = "rolled back"
        try:
            db.execute("insert into business values (%s)", [id])
            if len(jobs) == 1:
                enqueue(db, jobs[0])
            else:
                enqueue_many(db, jobs)
            if keep:
                fate = "unknown"
                db.commit()
                fate = "committed"
            else:
                db.rollback()
        finally:
            with self._lock:
                # A job with links goes on as a chain of so many more.
                self.batches.append(Batch(id, sum(1 + job.args.get("links", 0) for job in jobs), fate))

    def _produce(self, rng: random.Random) -> None:
        db = None
        while not self._stop.wait(rng.expovariate(1 / PAUSE_SECONDS)):
            try:
                if db is None:
                    db = self._connect()
                self.send(db, lambda id: _jobs(rng, id), keep=rng.random() > 0.1)
            except psycopg.Error:
                if db is not None:
                    db.close()
                db = None
        if db is not None:
            db.close()


def _jobs(rng: random.Random, batch: int) -> list[Job]:
    count = rng.choice([1, 1, 1, 2, 5, 12])
    return [_job(rng, batch) for _ in range(count)]


def _job(rng: random.Random, batch: int) -> Job:
    queue = rng.choice(["default", "default", "other"])
    delay = rng.choice([None, None, None, rng.uniform(0.1, 5)])
    options: Any = {"queue": queue, "delay": delay, "priority": rng.choice([5, 5, 5, 0, 9])}
    match rng.choices(list(KINDS), list(KINDS.values()))[0]:
        case "waits" | "waits_sync" as kind:
            return Job(kind, {"batch": batch, "seconds": rng.choice([0.05, 0.3, 1, 3])}, **options)
        case "fails_at_first":
            return Job("fails_at_first", {"batch": batch, "times": rng.randint(1, 3)}, **options)
        case "link":
            return Job("link", {"batch": batch, "links": rng.randint(1, 4)}, **options)
        case "fails":
            return Job("fails", {"batch": batch}, max_attempts=3, **options)
        case kind:
            return Job(kind, {"batch": batch}, **options)
