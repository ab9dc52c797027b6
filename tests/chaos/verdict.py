"""Compares what was promised, what handlers did and what is on record. Every sentence it returns is a broken promise.

A claim on a job is named by the job and a number that only grows, so each run in the ledger belongs to one claim, and
the record says what became of that claim:

completed   the outcome on record
failed      the handler's error is on record
died        its worker was declared dead; the attempt counts as failed
released    given back: by a worker that stopped, or that never heard of it
taken back  by a crash of the server: claims do not wait for the disk, so the newest may be forgotten, number and all
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import psycopg
from psycopg.rows import class_row

from tests.chaos.fleet import Life
from tests.chaos.ledger import Run
from tests.chaos.producers import Batch

FATAL: Final = {"fails": 3, "exits": 2, "crashes": 2}
"""Kinds that must end as failed, and after how many attempts."""
TRANSACTIONAL: Final = {"writes", "writes_sync", "link"}
"""Kinds that write one row in the transaction that completes them."""
WAL_SECONDS: Final = 1.5
"""A claim may be taken back by a server crash that follows within this time: no claim waits for the disk. Three times
wal_writer_delay, by Postgres's documentation, and something for a busy machine."""
PREFETCH_SECONDS: Final = 3.0
"""How long after its claim, and so after that crash, a handler may begin."""


class Outcome(NamedTuple):
    """A finished job. finished: seconds since the epoch."""

    id: int
    kind: str
    batch: int
    state: str
    claims: int
    worker: int | None
    attempt: int
    finished: float


class Attempt(NamedTuple):
    """A failed attempt on record."""

    job: int
    claim: int
    attempt: int
    worker: int
    died: bool


@dataclass(frozen=True)
class Evidence:
    """All there is to know. crashes: moments at which the server was stopped without notice."""

    batches: Sequence[Batch]
    business: frozenset[int]
    left: int
    outcomes: Sequence[Outcome]
    attempts: Sequence[Attempt]
    runs: Sequence[Run]
    lives: Sequence[Life]
    crashes: Sequence[float]
    effects: Mapping[int, int] = field(default_factory=dict)
    """Rows that transactional handlers wrote, by job."""


def read(db: psycopg.Connection[Any]) -> dict[str, Any]:
    """What the queue's database has to say."""
    outcomes = db.cursor(row_factory=class_row(Outcome)).execute(
        """select id, kind, (args->>'batch')::integer as batch, state, claims, worker, attempt,
               extract(epoch from finished_at)::float as finished
           from pgqueue.job_archive order by id"""
    )
    attempts = db.cursor(row_factory=class_row(Attempt)).execute(
        """select job, claims as claim, attempt, worker, error like 'WorkerDied:%' as died
           from pgqueue.attempt order by job, claims"""
    )
    (left,) = db.execute("select count(*) from pgqueue.job").fetchone() or (None,)
    business = frozenset(batch for (batch,) in db.execute("select batch from business"))
    effects = dict(db.execute("select job, count(*) from effect group by job").fetchall())
    told = {"effects": effects, "business": business}
    return {**told, "outcomes": outcomes.fetchall(), "attempts": attempts.fetchall(), "left": left}


def broken(evidence: Evidence) -> list[str]:
    """All promises that were not kept."""
    return [
        *_lost_or_invented(evidence),
        *_recorded_wrongly(evidence),
        *_not_accounted_for(evidence),
        *_never_really_done(evidence),
        *_overlapping(evidence),
        *_not_exactly_once(evidence),
    ]


def _lost_or_invented(evidence: Evidence) -> Iterator[str]:
    if evidence.left:
        yield f"{evidence.left} jobs are left, though nothing keeps them from running"
    found = Counter(outcome.batch for outcome in {outcome.id: outcome for outcome in evidence.outcomes}.values())
    for batch in evidence.batches:
        there = batch.id in evidence.business
        if batch.fate != "unknown" and there != (batch.fate == "committed"):
            yield f"{batch}: its row of business is {'there' if there else 'gone'}"
        if found[batch.id] != (batch.jobs if there else 0):
            yield f"{batch}: {found[batch.id]} of its jobs have an outcome; its row of business is there: {there}"


def _recorded_wrongly(evidence: Evidence) -> Iterator[str]:
    for id, count in Counter(outcome.id for outcome in evidence.outcomes).items():
        if count > 1:
            yield f"job {id} has {count} outcomes on record"
    for outcome in evidence.outcomes:
        if outcome.state != ("failed" if outcome.kind in FATAL else "completed"):
            yield f"{outcome} ended in the wrong state"
        if outcome.attempt != FATAL.get(outcome.kind, outcome.attempt):
            yield f"{outcome} did not have its attempts"


def _not_accounted_for(evidence: Evidence) -> Iterator[str]:
    """Every attempt that was counted, but the one that completed, has left its row: no fewer, no more."""
    rows: dict[int, list[int]] = defaultdict(list)
    for attempt in evidence.attempts:
        rows[attempt.job].append(attempt.attempt)
    for outcome in evidence.outcomes:
        failed = outcome.attempt - (outcome.state == "completed")
        if rows[outcome.id] != list(range(1, failed + 1)):
            yield f"{outcome}: on record are the failures of attempts {rows[outcome.id]}"


def _never_really_done(evidence: Evidence) -> Iterator[str]:
    ended = {(run.job, run.claim, run.worker) for run in evidence.runs if run.ended is not None}
    for outcome in evidence.outcomes:
        if outcome.state == "completed" and (outcome.id, outcome.claims, outcome.worker) not in ended:
            yield f"{outcome} is completed, but no handler under that claim came to its end"
    latest = {outcome.id: outcome.claims for outcome in evidence.outcomes}
    for run in evidence.runs:
        if run.claim > latest.get(run.job, 0):
            yield f"{run}: the record knows of {latest.get(run.job, 0)} claims only"


def _not_exactly_once(evidence: Evidence) -> Iterator[str]:
    done = {outcome.id: outcome for outcome in evidence.outcomes if outcome.state == "completed"}
    for id in evidence.effects.keys() - done.keys():
        yield f"job {id} is not completed, but {evidence.effects[id]} rows of it are there"
    for outcome in done.values():
        expected = int(outcome.kind in TRANSACTIONAL)
        if evidence.effects.get(outcome.id, 0) != expected:
            yield f"{outcome} wrote {evidence.effects.get(outcome.id, 0)} rows, not {expected}"


def _overlapping(evidence: Evidence) -> Iterator[str]:
    fates = fates_of(evidence)
    lives = {life.pid: life for life in evidence.lives}
    for first, second in overlaps(evidence):
        fate = fates[first]
        told = lives[first.pid].ends_at
        if fate == "died" or (fate == "released" and told is not None and told < second.began):
            continue
        if fate == "taken back":
            continue
        yield f"{first}, which was {fate}, ran beside {second}, which was {fates[second]}"


def overlaps(evidence: Evidence) -> Iterator[tuple[Run, Run]]:
    """Pairs of runs of one job that went on at the same time, the one with the older claim first."""
    gone = {life.pid: life.gone_at for life in evidence.lives}
    by_job: dict[int, list[Run]] = defaultdict(list)
    for run in evidence.runs:
        by_job[run.job].append(run)
    for runs in by_job.values():
        runs.sort(key=lambda run: (run.claim, run.began))
        for number, first in enumerate(runs):
            for second in runs[number + 1 :]:
                if second.began < _end(first, gone) and first.began < _end(second, gone):
                    yield first, second


def fates_of(evidence: Evidence) -> dict[Run, str]:
    """What became of each run's claim."""
    fates = {
        (attempt.job, attempt.claim, attempt.worker): "died" if attempt.died else "failed"
        for attempt in evidence.attempts
    }
    for outcome in evidence.outcomes:
        if outcome.state == "completed" and outcome.worker is not None:
            fates[outcome.id, outcome.claims, outcome.worker] = "completed"
    again = Counter((run.job, run.claim) for run in evidence.runs)
    found = {}
    for run in evidence.runs:
        fate = fates.get((run.job, run.claim, run.worker), "released")
        if again[run.job, run.claim] > 1 and any(
            run.began - PREFETCH_SECONDS < at < run.began + WAL_SECONDS for at in evidence.crashes
        ):
            fate = "taken back"
        found[run] = fate
    return found


def _end(run: Run, gone: dict[int, float | None]) -> float:
    """When it was over at the latest: a handler that was cut off wrote no end."""
    if run.ended is not None:
        return run.ended
    return gone.get(run.pid) or float("inf")
