"""How punctual a schedule fires, and what a thousand schedules cost a fleet that is idle.

Punctual: twenty one-second schedules, staggered, against a bare client with a timer; from the moment to the job's
insert, by the server's clock. Told beside it, without a goal: until a worker has claimed the job; and a thousand
schedules that are due at the same moment. Idle: two workers in a database with a thousand schedules that are due in an
hour, and two in a database with none, in the same windows.
"""

from __future__ import annotations

import contextlib
import random
import sys
import tempfile
import time

import psycopg
from kit.marks import marks
from kit.pairs import arguments, percentile, record, row, show, summary
from kit.process import process, until, worker
from kit.server import Server, cpu_of, server

GOAL_P99 = 20.0
GOAL_TRANSACTIONS, GOAL_CPU = 0.1, 0.1
"""Transactions a second, and percent of a core, that a thousand schedules may add: what windows differ by anyhow."""
STAGGERED = 20
FLEET = 2
SETTLE = 12.0
"""Seconds until sessions have told what they did at their start."""
RUNNING = "select count(*) = %(count)s from pgqueue.workers where state = 'running'"
MAKE = """select pgqueue.schedule(format('s%%s', n), 'noop', every => interval '1 second', args => '{"n": 1}',
    start_at => to_timestamp(%(begin)s + random())) from generate_series(1, %(count)s) n"""
LATE = "select extract(epoch from r.fired_at - r.due_at) * 1000 from pgqueue.schedule_run r where r.due_at > %(since)s"
CLAIMED = """select extract(epoch from a.started_at - r.due_at) * 1000
    from pgqueue.schedule_run r join pgqueue.job_archive a on a.id = r.job"""


def punctual(running: Server, samples: int) -> tuple[list[float], list[float], list[float]]:
    """Milliseconds from a moment to the job's insert, to its claim, and of a bare timer."""
    dsn = running.create("punctual")
    with (
        psycopg.connect(dsn, autocommit=True) as db,
        process(worker(dsn)) as working,
        marks() as rung,
        tempfile.NamedTemporaryFile("w") as file,
    ):
        until(lambda: db.execute(RUNNING, {"count": 1}).fetchone()[0], working, pause=0.05)
        begin = time.time() + 2
        bare = sorted(begin + random.uniform(0, samples / STAGGERED) for _ in range(samples))
        file.write("\n".join(map(str, bare)))
        file.flush()
        with process([sys.executable, "-m", "kit.waiter", "timer", running.of("postgres"), file.name], rung.env):
            db.execute(MAKE, {"begin": begin, "count": STAGGERED})
            done = "select sum(runs) >= %(samples)s from pgqueue.schedule"
            until(lambda: db.execute(done, {"samples": samples}).fetchone()[0], working, pause=0.5)
            rung.wait(samples - 1)
        db.execute("select pgqueue.pause_schedule(s.name) from pgqueue.schedule s")
        fired = [float(late) for (late,) in db.execute(LATE, {"since": "-infinity"})]
        claimed = [float(late) for (late,) in db.execute(CLAIMED)]
        floor = [(time_ns / 1e9 - bare[n]) * 1000 for n, time_ns in rung.read().items() if n >= 0]
    return fired, claimed, floor


def together(running: Server, count: int) -> list[float]:
    """Milliseconds from one moment, which is that of `count` schedules, to each job's insert."""
    dsn = running.create("together")
    with psycopg.connect(dsn, autocommit=True) as db, process(worker(dsn)) as working:
        until(lambda: db.execute(RUNNING, {"count": 1}).fetchone()[0], working, pause=0.05)
        db.execute(
            """select pgqueue.schedule(format('s%%s', n), 'noop', every => interval '1 day', args => '{"n": 1}')
               from generate_series(1, %(count)s) n""",
            {"count": count},
        )
        db.execute("update pgqueue.schedule set next_run_at = clock_timestamp() + interval '3 seconds'")
        db.execute("update pgqueue.schedule s set next_run_at = (select max(m.next_run_at) from pgqueue.schedule m)")
        fired = "select count(*) = %(count)s from pgqueue.schedule_run"
        until(lambda: db.execute(fired, {"count": count}).fetchone()[0], working, pause=0.1)
        return [float(late) for (late,) in db.execute(LATE, {"since": "-infinity"})]


def idle(
    running: Server, count: int, windows: int, seconds: float, settle: float
) -> dict[str, list[tuple[float, float]]]:
    """For each database: transactions a second, and percent of a core of its workers and their server processes."""
    sides = {"none": running.create("idle_none"), "schedules": running.create("idle_schedules")}
    with psycopg.connect(sides["schedules"], autocommit=True) as db:
        db.execute(
            """select pgqueue.schedule(format('s%%s', n), 'noop', every => interval '1 hour', args => '{"n": 1}')
               from generate_series(1, %(count)s) n""",
            {"count": count},
        )
        db.execute("vacuum analyze")
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in sides}
    with contextlib.ExitStack() as cleanup:
        fleets = {
            name: [cleanup.enter_context(process(worker(dsn))).pid for _ in range(FLEET)] for name, dsn in sides.items()
        }
        time.sleep(settle)
        for _ in range(windows):
            before = {name: spent(running, f"idle_{name}", pids) for name, pids in fleets.items()}
            time.sleep(seconds)
            for name, pids in fleets.items():
                after = spent(running, f"idle_{name}", pids)
                rate, cpu = ((now - then) / seconds for now, then in zip(after, before[name], strict=True))
                found[name].append((rate, cpu * 100))
    return found


def spent(running: Server, database: str, workers: list[int]) -> tuple[float, float]:
    """Transactions of a database, and seconds of processor time of its workers and their server processes."""
    transactions = running.admin.execute(
        "select xact_commit + xact_rollback from pg_stat_database where datname = %(database)s", {"database": database}
    ).fetchone()[0]
    sessions = running.admin.execute(
        "select pid from pg_stat_activity where datname = %(database)s and backend_type = 'client backend'",
        {"database": database},
    ).fetchall()
    return float(transactions), sum(sum(cpu_of(pid)) for pid in [*workers, *(pid for (pid,) in sessions)])


def main() -> None:
    given = arguments(__doc__, jobs=1_000, smoke=20)
    seconds, settle = (2.0, 3.0) if given.smoke else (30.0, SETTLE)
    with server(given.major, autovacuum="off") as running:  # its own transactions would count as the workers'
        fired, claimed, floor = punctual(running, given.jobs)
        at_once = together(running, given.jobs)
        found = idle(running, given.jobs, given.pairs, seconds, settle)
        version = running.version
    p99 = percentile(fired, 0.99)
    for name, late in (("fires", fired), ("is claimed", claimed), ("bare timer", floor), ("all at once", at_once)):
        show(name, summary(late), "ms", 2)
        print(f"    p99 {percentile(late, 0.99):.2f} ms")
    added = [
        (schedules[0] - none[0], schedules[1] - none[1])
        for schedules, none in zip(found["schedules"], found["none"], strict=True)
    ]
    more, cpu = (summary([each[i] for each in added])["median"] for i in (0, 1))
    told = {
        name: f"{summary([v[0] for v in values])['median']:.2f}/s, {summary([v[1] for v in values])['median']:.2f} %"
        for name, values in found.items()
    }
    rows = [
        row("one-second schedule, fired after its moment, p99", f"≤ {GOAL_P99:g} ms", f"{p99:.1f} ms",
            f"{percentile(floor, 0.99):.1f} ms with a bare timer", p99, p99 <= GOAL_P99 and min(fired) >= 0),
        row("one-second schedule, claimed after its moment, p99", "no goal", f"{percentile(claimed, 0.99):.1f} ms",
            f"{percentile(floor, 0.99):.1f} ms with a bare timer", percentile(claimed, 0.99), True),
        row(f"{given.jobs:,} schedules due at the same moment, the last fired", "no goal", f"{max(at_once):.0f} ms",
            f"{min(at_once):.1f} ms the first", max(at_once), True),
        row(f"idle fleet of {FLEET} with {given.jobs:,} schedules, against none",
            f"+ ≤ {GOAL_TRANSACTIONS:g} transactions/s, ≤ {GOAL_CPU:g} % of a core", told["schedules"], told["none"],
            more, more <= GOAL_TRANSACTIONS and cpu <= GOAL_CPU),
    ]  # fmt: skip
    record(
        given, "schedules", rows, version, fired=fired, claimed=claimed, floor=floor, together=at_once, windows=found
    )


if __name__ == "__main__":
    main()
