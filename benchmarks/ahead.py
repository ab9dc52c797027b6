"""How punctual a job dated ahead starts on a worker that sleeps until then, against a bare client with a timer."""

from __future__ import annotations

import random
import sys
import tempfile
import time

import psycopg
from kit.marks import marks
from kit.pairs import arguments, percentile, record, row
from kit.process import process, until, worker
from kit.server import server

GOAL = 15.0
SPACING = 0.1
"""Seconds from one job to the next, on average: most find the worker asleep."""
PARKED = "select exists (select from pg_locks where locktype = 'advisory' and classid = 1885827330 and granted)"
ENQUEUE = (
    "select pgqueue.enqueue('mark', jsonb_build_object('n', n), run_at => to_timestamp(moment))"
    " from unnest(%(moments)s::float8[]) with ordinality m (moment, n)"
)


def main() -> None:
    given = arguments(__doc__, jobs=300, smoke=10, pairs=1)
    span = given.jobs * SPACING
    with server(given.major) as running, marks() as started, marks() as rung, tempfile.NamedTemporaryFile("w") as file:
        dsn = running.create("ahead")
        with psycopg.connect(dsn, autocommit=True) as producer, process(worker(dsn), started.env) as idle:
            until(lambda: producer.execute(PARKED).fetchone()[0], idle, pause=0.05)
            begin = time.time() + 2
            moments, bare = (sorted(begin + random.uniform(0, span) for _ in range(given.jobs)) for _ in range(2))
            file.write("\n".join(map(str, bare)))
            file.flush()
            with process([sys.executable, "-m", "kit.waiter", "timer", running.of("postgres"), file.name], rung.env):
                producer.execute(ENQUEUE, {"moments": moments})
                before = running.spent("ahead").transactions
                time.sleep(begin + span - time.time())
                started.wait(given.jobs)
                rung.wait(given.jobs - 1)
                transactions = running.spent("ahead").transactions - before
        late = sorted(round((time_ns / 1e9 - moments[n - 1]) * 1000, 3) for n, time_ns in started.read().items())
        floor = sorted(round((time_ns / 1e9 - bare[n]) * 1000, 3) for n, time_ns in rung.read().items())
        early = sum(value < 0 for value in late)
        print(f"  start after run_at: p50 {percentile(late, 0.5):.2f} ms, p99 {percentile(late, 0.99):.2f} ms, "
              f"longest {late[-1]:.2f} ms, {early} early; floor p50 {percentile(floor, 0.5):.2f} ms, "
              f"p99 {percentile(floor, 0.99):.2f} ms; {transactions / given.jobs:.1f} transactions a job")  # fmt: skip
        p99 = percentile(late, 0.99)
        mine, bare_p99 = f"{p99:.1f} ms", f"{percentile(floor, 0.99):.1f} ms with a bare timer"
        rows = [
            row(
                "job dated ahead, start after run_at, p99",
                f"≤ {GOAL:g} ms",
                mine,
                bare_p99,
                p99,
                p99 <= GOAL and not early,
            )
        ]
        record(given, "ahead", rows, running.version, late=late, floor=floor)


if __name__ == "__main__":
    main()
