"""Throughput over time while one old snapshot stays open, so that nothing dead can be removed.

One million jobs are enqueued after the snapshot was taken and then worked. Against the same without a snapshot, and,
on a fifth of the jobs, against the same SQL without the claim cursor, which reads all that is dead with every claim.
"""

from __future__ import annotations

import contextlib
from functools import partial

import psycopg
from kit import sides
from kit.pairs import alternate, arguments, ratio, record, row, show, summary
from kit.process import process
from kit.runs import Run, measured, run
from kit.server import Server, server

GOAL = 0.9


@contextlib.contextmanager
def snapshot(dsn: str):
    """An old snapshot, held."""
    with psycopg.connect(dsn) as holder:
        holder.execute("set transaction isolation level repeatable read")
        holder.execute("select count(*) from pgqueue.job")
        yield
        holder.rollback()


def _fill(side: sides.Side, jobs: int) -> None:
    with psycopg.connect(side.dsn, autocommit=True) as connection:
        connection.execute(side.fill, {"jobs": jobs})
        connection.execute("vacuum analyze pgqueue.job")
        connection.execute("checkpoint")


def held(side: sides.Side, jobs: int, *, hold: bool) -> Run:
    """The worker, with or without a snapshot that is older than all jobs."""
    _empty(side)
    with snapshot(side.dsn) if hold else contextlib.nullcontext():
        return run(side, jobs, prepare=lambda: _fill(side, jobs))


def plain(side: sides.Side, jobs: int) -> Run:
    """The SQL alone without the claim cursor, under a snapshot."""
    _empty(side)
    with snapshot(side.dsn):
        _fill(side, jobs)
        with psycopg.connect(side.dsn, autocommit=True) as looks:
            since = looks.execute("select clock_timestamp()").fetchone()[0]
            with process([*sides.floor(side).command, side.dsn, "no-cursor"]) as driver:
                driver.wait()
            return measured(looks, since, jobs, [])


def _empty(side: sides.Side) -> None:
    with psycopg.connect(side.dsn, autocommit=True) as connection:
        connection.execute(side.empty)


def compare(running: Server, jobs: int, pairs: int) -> dict[str, list[Run]]:
    """All three, in turns."""
    side = sides.pgqueue(running, "held")
    measures = {
        "snapshot held": partial(held, side, jobs, hold=True),
        "no snapshot": partial(held, side, jobs, hold=False),
        "snapshot held, no claim cursor": partial(plain, side, jobs // 5),
    }
    return alternate(measures, pairs)


def main() -> None:
    given = arguments(__doc__, jobs=1_000_000, smoke=5_000)
    with server(given.major) as running:
        runs = compare(running, given.jobs, given.pairs)
        parts = {}
        for name, found in runs.items():
            parts[name] = ratio([each.tenths[-1] for each in found], [each.tenths[0] for each in found])
            show(name, summary([each.rate for each in found]), "jobs/s")
            show("  last tenth / first tenth", parts[name], "×", 2)
            print("   ", " ".join(f"{tenth:,.0f}" for tenth in found[0].tenths))
        typical = [summary([each.tenths[index] for each in runs["snapshot held"]]) for index in (-1, 0)]
        ours, theirs = (f"{found['median']:,.0f} jobs/s" for found in typical)
        part = parts["snapshot held"]["median"]
        figure = f"{given.jobs:,} jobs under a held snapshot, last tenth against first"
        rows = [row(figure, f"≥ {GOAL} ×", ours, theirs, part, part >= GOAL)]
        curves = {name: found[0].curve for name, found in runs.items()}
        tenths = {name: [each.tenths for each in found] for name, found in runs.items()}
        record(given, "snapshot", rows, running.version, curves=curves, tenths=tenths)


if __name__ == "__main__":
    main()
