"""Runs of pgqueue alone, whose every outcome has its time in the archive: no looks from outside are needed."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import psycopg

from kit.process import process, until, worker
from kit.server import rss_of
from kit.sides import Side, fill

EVERY = 0.25
"""Seconds between samples of memory, and the width of a step of the curve over time."""


@dataclass(frozen=True)
class Run:
    """rate: jobs a second, from the first claim to the last record. tenths: the same for each tenth of the jobs.
    curve: jobs recorded in each quarter of a second. memory: (seconds, megabytes) of the worker."""

    rate: float
    tenths: list[float]
    curve: list[int]
    memory: list[tuple[float, float]] = field(default_factory=list)


def run(side: Side, jobs: int, *, prepare: Callable[[], None] | None = None) -> Run:
    """Works `jobs` jobs with one worker, which stops after that many. prepare: fills the queue; None: as `fill`."""
    if prepare is None:
        fill(side, jobs)
    else:
        prepare()
    with psycopg.connect(side.dsn, autocommit=True) as looks:
        # The archive may hold others, and now() is as good as any mark between them and ours.
        since = looks.execute("select clock_timestamp()").fetchone()[0]
        memory = _work(side.dsn, jobs)
        return measured(looks, since, jobs, memory)


def _work(dsn: str, jobs: int) -> list[tuple[float, float]]:
    memory: list[tuple[float, float]] = []
    started = time.perf_counter()
    with process(worker(dsn, "--max-jobs", str(jobs))) as running:

        def ended() -> bool:
            try:
                memory.append((round(time.perf_counter() - started, 2), round(rss_of(running.pid), 1)))
            except (FileNotFoundError, TypeError):
                return True
            return running.popen.poll() is not None

        until(ended, running, pause=EVERY)
        running.wait()
    return memory


def measured(looks: psycopg.Connection, since: object, jobs: int, memory: list[tuple[float, float]]) -> Run:
    """The figures of the jobs that were recorded after `since`, which must be `jobs`."""
    mine = "from pgqueue.job_archive where finished_at > %(since)s and state = 'completed'"
    count, first = looks.execute(f"select count(*), min(started_at) {mine}", {"since": since}).fetchone()
    if count != jobs:
        raise RuntimeError(f"{count} of {jobs} jobs are recorded as completed")
    # The end of each tenth, in seconds from the first claim.
    ends = looks.execute(
        f"select extract(epoch from max(t.finished_at) - %(first)s)::float8 from (select finished_at, ntile(10) over"
        f" (order by finished_at) as tenth {mine}) t group by t.tenth order by t.tenth",
        {"since": since, "first": first},
    ).fetchall()
    marks = [0.0, *(end for (end,) in ends)]
    counts = looks.execute(
        f"select count(m.step) from generate_series(0, %(last)s) s (step) left join (select floor(extract(epoch from"
        f" finished_at - %(first)s) / {EVERY})::int as step {mine}) m using (step) group by s.step order by s.step",
        {"since": since, "first": first, "last": int(marks[-1] / EVERY)},
    ).fetchall()
    tenths = [jobs / 10 / max(end - start, 1e-6) for start, end in itertools.pairwise(marks)]
    return Run(jobs / marks[-1], tenths, [count for (count,) in counts], memory)
