"""How soon an idle worker starts a job: from the commit, as its producer sees it acknowledged, to the handler's start.

Against the floor: a bare client that waits for NOTIFY and makes one round trip, `select 1`. Told beside it: such a
client whose round trip updates one row by its key, the least that a claim could be, and one that makes a worker's
claim. All wait at the same time, each in a database of its own; one producer
commits for them in turns, with pauses in which the worker goes back to sleep.
"""

from __future__ import annotations

import contextlib
import random
import sys
import time
from typing import Any

import psycopg
from kit.marks import Marks, marks
from kit.pairs import arguments, percentile, ratio, record, row, summary
from kit.process import process, until, worker
from kit.server import server

GOAL_P50, GOAL_P99 = 2.0, 4.0
AGAINST = {
    "floor": "a bare round trip",
    "floor, write": "a bare client's update of one row",
    "floor, claim": "a bare client's claim",
}
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


def judged(found: dict[str, list[tuple[float, float]]], part: float, goal: float, rounds: int) -> list[dict[str, Any]]:
    """Rows of one percentile: that of each of `rounds` equal parts of the samples, then the median over these."""
    size = len(found["pgqueue"]) // rounds
    of = {
        name: [percentile([pair[0] for pair in pairs[n * size : (n + 1) * size]], part) for n in range(rounds)]
        for name, pairs in found.items()
    }
    print(f"  p{part * 100:.0f} from the commit's acknowledgement, and from its sending:")
    for name, pairs in found.items():
        sent = percentile([pair[1] for pair in pairs], part)
        print(f"    {name:<16}{summary(of[name])['median']:8.2f} ms {sent:8.2f} ms")
    mine, label = of["pgqueue"], f"pickup by an idle worker, commit to handler start, p{part * 100:.0f}"
    rows = []
    for name, against in AGAINST.items():
        times = ratio(mine, of[name])["median"]
        limit, met = (f"≤ {goal:g} × floor", times <= goal) if name == "floor" else ("no goal", True)
        ours, theirs = (f"{summary(values)['median']:.2f} ms" for values in (mine, of[name]))
        rows.append(row(f"{label}, against {against}", limit, ours, theirs, times, met))
    return rows


def main() -> None:
    given = arguments(__doc__, jobs=300, smoke=10)
    enqueue = "select pgqueue.enqueue('mark', jsonb_build_object('n', %(n)s::int))"
    notify = "with added as (insert into floor values (%(n)s)) select pg_notify('floor', %(n)s::int::text)"
    sql = {"pgqueue": enqueue, "floor": notify, "floor, write": notify, "floor, claim": enqueue}
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in sql}
    with server(given.major) as running, contextlib.ExitStack() as cleanup:
        noted = {name: cleanup.enter_context(marks()) for name in sql}
        dsns = [running.create("pickup"), *(running.create(name, schema=False) for name in ("bare", "write"))]
        dsns.append(running.create("claim"))
        producers = {name: cleanup.enter_context(psycopg.connect(dsn)) for name, dsn in zip(sql, dsns, strict=True)}
        for name in ("floor", "floor, write"):
            producers[name].execute("create table floor (n integer primary key, taken boolean) with (fillfactor = 50)")
            producers[name].commit()
        idle = cleanup.enter_context(process(worker(dsns[0]), noted["pgqueue"].env))
        for name, mode, dsn in zip(list(sql)[1:], ("notify", "write", "claim"), dsns[1:], strict=True):
            cleanup.enter_context(process([sys.executable, "-m", "kit.waiter", mode, dsn], noted[name].env))
            noted[name].wait(-1)
        until(lambda: running.admin.execute(PARKED).fetchone()[0] == 2, idle, pause=0.05)
        for number in range(-5, given.jobs * given.pairs):  # the first few warm up
            for name, producer in producers.items():
                value = sample(producer, noted[name], number + 1000, sql[name])
                if number >= 0:
                    found[name].append(value)
        rows = [
            made
            for part, goal in ((0.5, GOAL_P50), (0.99, GOAL_P99))
            for made in judged(found, part, goal, given.pairs)
        ]
        record(given, "latency", rows, running.version, samples=found)


if __name__ == "__main__":
    main()
