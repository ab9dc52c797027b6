"""Eight worker processes of 50 slots on one queue, against one.

The workers are there and asleep when all jobs arrive in one commit. Deadlocks and serialization failures are counted
in the server's statistics and its log. What they go past on their way to a job is told by the entries that scans of the
index of ready jobs returned, and by the server's processor time, for each job.
"""

from __future__ import annotations

import contextlib
from dataclasses import asdict, dataclass
from functools import partial

import psycopg
from kit import sides
from kit.pairs import alternate, arguments, ratio, record, row, show, summary
from kit.process import process, until, worker
from kit.runs import measured
from kit.server import Server, server

MANY = 8
PARKED = "select count(*) from pg_locks where locktype = 'advisory' and classid = 1885827330 and granted"
ARRIVE = (
    "with added as (insert into pgqueue.job (kind, args) select 'noop', jsonb_build_object('n', g)"
    " from generate_series(1, %(jobs)s) g returning 1) select count(*) from added"
)


READ = """select idx_tup_read, (select count(*) from pg_stat_activity
    where datname = current_database() and backend_type = 'client backend' and pid <> pg_backend_pid())
    from pg_stat_user_indexes where indexrelid = 'pgqueue.job_ready'::regclass"""


@dataclass(frozen=True)
class Worked:
    """rate: jobs a second. server_cpu: microseconds of all of the server's processes per job. entries: of the index of
    ready jobs that scans returned, per job."""

    rate: float
    server_cpu: float
    entries: float


def work(running: Server, side: sides.Side, jobs: int, count: int) -> Worked:
    """Drains `jobs` jobs with `count` workers."""
    with psycopg.connect(side.dsn, autocommit=True) as looks, contextlib.ExitStack() as cleanup:
        looks.execute(side.empty)
        looks.execute("checkpoint")
        since = looks.execute("select clock_timestamp()").fetchone()[0]
        read = looks.execute(READ).fetchone()[0]
        fleet = [cleanup.enter_context(process(worker(side.dsn))) for _ in range(count)]
        until(lambda: looks.execute(PARKED).fetchone()[0] == count, fleet[0], pause=0.1)
        with looks.transaction():
            looks.execute(ARRIVE, {"jobs": jobs})
            looks.execute("select pgqueue.wake('default')")
            cpu = running.cpu()
        until(lambda: not looks.execute("select exists (select from pgqueue.job)").fetchone()[0], fleet[0], pause=0.05)
        cpu = running.cpu() - cpu
        cleanup.close()
        rate = measured(looks, since, jobs, []).rate
        until(lambda: not looks.execute(READ).fetchone()[1], pause=0.05)  # a session tells all it read at its end
        return Worked(rate, cpu / jobs * 1e6, (looks.execute(READ).fetchone()[0] - read) / jobs)


def main() -> None:
    given = arguments(__doc__, jobs=200_000, smoke=5_000)
    with server(given.major) as running:
        side = sides.pgqueue(running, "workers")
        runs = alternate(
            {
                f"{MANY} workers": partial(work, running, side, given.jobs, MANY),
                "1 worker": partial(work, running, side, given.jobs, 1),
            },
            given.pairs,
        )
        many, one = ([each.rate for each in found] for found in runs.values())
        for name, found in runs.items():
            show(f"{name}: server", summary([each.server_cpu for each in found]), "µs/job", 1)
            show(f"{name}: index entries", summary([each.entries for each in found]), "/job", 1)
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
        record(
            given,
            "workers",
            rows,
            running.version,
            runs={name: [asdict(each) for each in found] for name, found in runs.items()},
        )


if __name__ == "__main__":
    main()
