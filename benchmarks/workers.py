"""Eight worker processes of 50 slots on one queue, against one.

The workers are there and asleep when all jobs arrive in one commit. Deadlocks and serialization failures are counted
in the server's statistics and its log.
"""

from __future__ import annotations

import contextlib
from functools import partial

import psycopg
from kit import sides
from kit.pairs import alternate, arguments, ratio, record, row, show, summary
from kit.process import process, until, worker
from kit.runs import Run, measured
from kit.server import server

MANY = 8
PARKED = "select count(*) from pg_locks where locktype = 'advisory' and classid = 1885827330 and granted"
ARRIVE = (
    "with added as (insert into pgqueue.job (kind, args) select 'noop', jsonb_build_object('n', g)"
    " from generate_series(1, %(jobs)s) g returning 1) select count(*) from added"
)


def work(side: sides.Side, jobs: int, count: int) -> Run:
    """Drains `jobs` jobs with `count` workers."""
    with psycopg.connect(side.dsn, autocommit=True) as looks, contextlib.ExitStack() as cleanup:
        looks.execute(side.empty)
        looks.execute("checkpoint")
        since = looks.execute("select clock_timestamp()").fetchone()[0]
        fleet = [cleanup.enter_context(process(worker(side.dsn))) for _ in range(count)]
        until(lambda: looks.execute(PARKED).fetchone()[0] == count, fleet[0], pause=0.1)
        with looks.transaction():
            looks.execute(ARRIVE, {"jobs": jobs})
            looks.execute("select pgqueue.wake('default')")
        until(lambda: not looks.execute("select exists (select from pgqueue.job)").fetchone()[0], fleet[0], pause=0.05)
        return measured(looks, since, jobs, [])


def main() -> None:
    given = arguments(__doc__, jobs=200_000, smoke=5_000)
    with server(given.major) as running:
        side = sides.pgqueue(running, "workers")
        runs = alternate(
            {f"{MANY} workers": partial(work, side, given.jobs, MANY), "1 worker": partial(work, side, given.jobs, 1)},
            given.pairs,
        )
        many, one = ([each.rate for each in found] for found in runs.values())
        show(f"{MANY} workers of 50 slots", ours := summary(many), "jobs/s")
        show("1 worker of 50 slots", theirs := summary(one), "jobs/s")
        show("  ratio", times := ratio(many, one), "×", 2)
        sql = "select deadlocks from pg_stat_database where datname = 'workers'"
        wrong = running.admin.execute(sql).fetchone()[0] + running.complaints()
        print(f"  deadlocks and serialization failures: {wrong}")
        figure = f"drain of {given.jobs:,} by {MANY} workers × 50 slots against 1; {wrong} deadlocks or such"
        medians = [f"{found['median']:,.0f} jobs/s" for found in (ours, theirs)]
        met = times["median"] >= 1.0 and not wrong
        rows = [row(figure, "≥ 1 ×, no such error", *medians, times["median"], met)]
        record(given, "workers", rows, running.version, rates={"many": many, "one": one})


if __name__ == "__main__":
    main()
