"""How soon an idle worker starts a job: from the commit, as its producer sees it acknowledged, to the handler's start.

Against the floor: a bare client that waits for NOTIFY and makes one round trip. Both wait at the same time, each in a
database of its own; one producer commits for them in turns, with pauses in which the worker goes back to sleep.
"""

from __future__ import annotations

import random
import sys
import time

import psycopg
from kit.marks import Marks, marks
from kit.pairs import arguments, percentile, record, row
from kit.process import process, until, worker
from kit.server import server

GOAL_P50, GOAL_P99 = 2.0, 4.0
PARKED = "select exists (select from pg_locks where locktype = 'advisory' and classid = 1885827330 and granted)"


def sample(connection: psycopg.Connection, noted: Marks, number: int, sql: str) -> tuple[float, float]:
    """Milliseconds from the commit's acknowledgement, and from its sending, to the mark."""
    connection.execute(sql, {"n": number}, prepare=True)
    sent = time.time_ns()
    connection.commit()
    acknowledged = time.time_ns()
    time.sleep(random.uniform(0.03, 0.06))
    started = noted.wait(number)
    return round((started - acknowledged) / 1e6, 3), round((started - sent) / 1e6, 3)


def main() -> None:
    given = arguments(__doc__, jobs=500, smoke=10, pairs=1)
    enqueue = "select pgqueue.enqueue('mark', jsonb_build_object('n', %(n)s::int))"
    notify = "with added as (insert into floor values (%(n)s)) select pg_notify('floor', %(n)s::int::text)"
    ours: list[tuple[float, float]] = []
    theirs: list[tuple[float, float]] = []
    with server(given.major) as running, marks() as picked, marks() as noted:
        worked, bare = running.create("pickup"), running.create("floor", schema=False)
        with psycopg.connect(worked) as producer, psycopg.connect(bare) as notifier:
            notifier.execute("create table floor (n integer primary key)")
            notifier.commit()
            waiter = [sys.executable, "-m", "kit.waiter", "notify", bare]
            with process(worker(worked), picked.env) as idle, process(waiter, noted.env):
                until(lambda: running.admin.execute(PARKED).fetchone()[0], idle, pause=0.05)
                noted.wait(-1)
                for number in range(-5, given.jobs):  # the first few warm up
                    first = sample(producer, picked, number + 1000, enqueue)
                    second = sample(notifier, noted, number + 1000, notify)
                    if number >= 0:
                        ours.append(first)
                        theirs.append(second)
        rows = []
        for part, goal in ((0.5, GOAL_P50), (0.99, GOAL_P99)):
            mine, floor = (percentile([pair[0] for pair in side], part) for side in (ours, theirs))
            times = mine / floor
            sent, bare = (percentile([pair[1] for pair in side], part) for side in (ours, theirs))
            print(f"  p{part * 100:.0f}: pgqueue {mine:.2f} ms, floor {floor:.2f} ms, {times:.2f} ×")
            print(f"       from the commit's sending: {sent:.2f} and {bare:.2f} ms")
            figure = f"pickup by an idle worker, commit to handler start, p{part * 100:.0f}"
            rows.append(row(figure, f"≤ {goal:g} × floor", f"{mine:.2f} ms", f"{floor:.2f} ms", times, times <= goal))
        record(given, "latency", rows, running.version, pgqueue=ours, floor=theirs)


if __name__ == "__main__":
    main()
