"""Many jobs at once on one connection: pgqueue's enqueue_many against graphile-worker's addJobs.

Timed from the call until the commit is acknowledged. The jobs are values made beforehand on both sides; what making
them from a task costs as well is told beside it.
"""

from __future__ import annotations

import subprocess
import time
from functools import partial

import psycopg
from kit import sides
from kit.jobs import noop
from kit.pairs import alternate, arguments, ratio, record, row, show, summary
from kit.process import HERE
from kit.server import server

from pgqueue import Job, enqueue_many

GOAL_RATE, GOAL_TIMES = 100_000, 1.2


def ours(side: sides.Side, jobs: int, *, task: bool) -> float:
    """Jobs a second. task: make them from the task, with its checks, as part of it."""
    made = None if task else [Job("noop", {"n": n}) for n in range(jobs)]
    with psycopg.connect(side.dsn) as connection:
        _empty(connection, side)
        started = time.perf_counter()
        enqueue_many(connection, (noop.job(n=n) for n in range(jobs)) if made is None else made)
        connection.commit()
        seconds = time.perf_counter() - started
        _check(connection, side, jobs)
    return jobs / seconds


def graphile(side: sides.Side, jobs: int) -> float:
    """Jobs a second."""
    with psycopg.connect(side.dsn) as connection:
        _empty(connection, side)
        command = [*side.command[:-1], "add", str(jobs), side.dsn]
        done = subprocess.run(command, cwd=HERE, stdout=subprocess.PIPE, text=True, check=True)
        _check(connection, side, jobs)
    return jobs / float(done.stdout)


def main() -> None:
    given = arguments(__doc__, jobs=100_000, smoke=2_000, pairs=5)
    with server(given.major) as running:
        mine = sides.pgqueue(running)
        measures = {
            "pgqueue": partial(ours, mine, given.jobs, task=False),
            "pgqueue, made from a task": partial(ours, mine, given.jobs, task=True),
        }
        for peer in sides.available(sides.graphile, server=running):
            measures[peer.name] = partial(graphile, peer, given.jobs)
        rates = alternate(measures, given.pairs)
        for name, found in rates.items():
            show(name, summary(found), "jobs/s")
        median = summary(rates["pgqueue"])["median"]
        rows = [
            row("enqueue_many on one connection", f"≥ {GOAL_RATE:,} jobs/s", f"{median:,.0f} jobs/s",
                f"{summary(rates['pgqueue, made from a task'])['median']:,.0f} jobs/s made from a task", median,
                median >= GOAL_RATE)
        ]  # fmt: skip
        if "graphile-worker" in rates:
            times = ratio(rates["pgqueue"], rates["graphile-worker"])
            show("  pgqueue / graphile-worker", times, "×", 2)
            theirs = f"{summary(rates['graphile-worker'])['median']:,.0f} jobs/s"
            figure = f"enqueue_many of {given.jobs:,} jobs against graphile-worker's addJobs"
            rows.append(row(figure, f"≥ {GOAL_TIMES} ×", f"{median:,.0f} jobs/s", theirs, times["median"],
                            times["median"] >= GOAL_TIMES))  # fmt: skip
        record(given, "enqueue_many", rows, running.version, rates=rates)


def _empty(connection: psycopg.Connection, side: sides.Side) -> None:
    connection.execute(side.empty)
    connection.commit()
    connection.execute("checkpoint")
    connection.commit()


def _check(connection: psycopg.Connection, side: sides.Side, jobs: int) -> None:
    count = connection.execute(f"select count(*) from {side.jobs}").fetchone()[0]
    connection.commit()
    if count != jobs:
        raise RuntimeError(f"{side.name}: {count} of {jobs} jobs are in the database")


if __name__ == "__main__":
    main()
