"""How soon an idle worker starts a job: from the commit, as its producer sees it acknowledged, to the handler's start.

Against the floor: a bare client that waits for NOTIFY and makes one round trip, `select 1`. Told beside it: such a
client whose round trip is a worker's claim. All wait at the same time, each in a database of its own; one producer
commits for them in turns, with pauses in which the worker goes back to sleep.
"""

from __future__ import annotations

import contextlib
import random
import sys
import time

import psycopg
from kit.marks import Marks, marks
from kit.pairs import arguments, percentile, record, row
from kit.process import process, until, worker
from kit.server import server

GOAL_P50, GOAL_P99 = 2.0, 4.0
PARKED = "select count(*) from pg_locks where locktype = 'advisory' and classid = 1885827330 and granted"


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
    sql = {"pgqueue": enqueue, "floor": notify, "floor, claim": enqueue}
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in sql}
    with server(given.major) as running, contextlib.ExitStack() as cleanup:
        noted = {name: cleanup.enter_context(marks()) for name in sql}
        dsns = [running.create("pickup"), running.create("bare", schema=False), running.create("claim")]
        producers = {name: cleanup.enter_context(psycopg.connect(dsn)) for name, dsn in zip(sql, dsns, strict=True)}
        producers["floor"].execute("create table floor (n integer primary key)")
        producers["floor"].commit()
        idle = cleanup.enter_context(process(worker(dsns[0]), noted["pgqueue"].env))
        for name, mode, dsn in (("floor", "notify", dsns[1]), ("floor, claim", "claim", dsns[2])):
            cleanup.enter_context(process([sys.executable, "-m", "kit.waiter", mode, dsn], noted[name].env))
            noted[name].wait(-1)
        until(lambda: running.admin.execute(PARKED).fetchone()[0] == 2, idle, pause=0.05)
        for number in range(-5, given.jobs):  # the first few warm up
            for name, producer in producers.items():
                value = sample(producer, noted[name], number + 1000, sql[name])
                if number >= 0:
                    found[name].append(value)
        rows = []
        for part, goal in ((0.5, GOAL_P50), (0.99, GOAL_P99)):
            told = {name: percentile([pair[0] for pair in pairs], part) for name, pairs in found.items()}
            sent = {name: percentile([pair[1] for pair in pairs], part) for name, pairs in found.items()}
            print(f"  p{part * 100:.0f} from the commit's acknowledgement, and from its sending:")
            for name in found:
                print(f"    {name:<16}{told[name]:8.2f} ms {sent[name]:8.2f} ms")
            mine, label = told["pgqueue"], f"pickup by an idle worker, commit to handler start, p{part * 100:.0f}"
            for name, against in (("floor", "a bare round trip"), ("floor, claim", "a bare client's claim")):
                times = mine / told[name]
                limit = f"≤ {goal:g} × floor" if name == "floor" else "no goal"
                met = times <= goal or name != "floor"
                rows.append(
                    row(f"{label}, against {against}", limit, f"{mine:.2f} ms", f"{told[name]:.2f} ms", times, met)
                )
        record(given, "latency", rows, running.version, samples=found)


if __name__ == "__main__":
    main()
