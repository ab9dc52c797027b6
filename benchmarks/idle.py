"""What an idle worker costs: transactions a second and processor time, with an empty queue and with 100,000 jobs dated
ahead. graphile-worker idles beside it, in a database of its own, in the same windows."""

from __future__ import annotations

import contextlib
import time

import psycopg
from kit import sides
from kit.pairs import arguments, record, row, show, summary
from kit.process import Process, process
from kit.server import Server, cpu_of, server

GOAL_TRANSACTIONS, GOAL_CPU = 3.0, 0.5
SETTLE = 12.0
"""Seconds until sessions have told what they did at their start: an idle one tells it within ten."""


def window(running: Server, worked: dict[str, Process], seconds: float) -> dict[str, tuple[float, float]]:
    """For each database: transactions a second, percent of one core that its worker takes."""
    before = {name: (_transactions(running, name), sum(cpu_of(each.pid))) for name, each in worked.items()}
    time.sleep(seconds)
    return {
        name: (
            (_transactions(running, name) - before[name][0]) / seconds,
            (sum(cpu_of(each.pid)) - before[name][1]) / seconds * 100,
        )
        for name, each in worked.items()
    }


def _transactions(running: Server, database: str) -> int:
    sql = "select xact_commit + xact_rollback from pg_stat_database where datname = %(database)s"
    return int(running.admin.execute(sql, {"database": database}).fetchone()[0])


def main() -> None:
    given = arguments(__doc__, jobs=100_000, smoke=100)
    seconds, settle = (2.0, 2.0) if given.smoke else (15.0, SETTLE)
    found: dict[str, list[tuple[float, float]]] = {}
    with server(given.major, autovacuum="off") as running:  # its own transactions would count as the worker's
        empty = sides.pgqueue(running, "idle_empty")
        ahead = sides.pgqueue(running, "idle_ahead")
        with psycopg.connect(ahead.dsn, autocommit=True) as connection:
            connection.execute(
                "insert into pgqueue.job (kind, args, run_at)"
                " select 'noop', '{\"n\": 1}', clock_timestamp() + g * interval '1 second'"
                " from generate_series(100000, 99999 + %(jobs)s) g",
                {"jobs": given.jobs},
            )
            connection.execute("vacuum analyze")
        everybody = {"empty queue": empty, f"{given.jobs:,} jobs dated ahead": ahead}
        everybody |= {peer.name: peer for peer in sides.available(sides.graphile, server=running)}
        names = {side.database: name for name, side in everybody.items()}
        with contextlib.ExitStack() as cleanup:
            worked = {
                side.database: cleanup.enter_context(process([*side.command, side.dsn])) for side in everybody.values()
            }
            time.sleep(settle)
            for _ in range(given.pairs):
                for database, value in window(running, worked, seconds).items():
                    found.setdefault(names[database], []).append(value)
        medians = {}
        for name, values in found.items():
            rate, cpu = (summary([value[i] for value in values]) for i in (0, 1))
            show(f"{name}: transactions", rate, "/s", 2)
            show(f"{name}: processor", cpu, "%", 2)
            medians[name] = rate["median"], cpu["median"]
        told = {name: f"{rate:.1f}/s, {cpu:.2f} %" for name, (rate, cpu) in medians.items()}
        goal = f"≤ {GOAL_TRANSACTIONS:g} transactions/s, < {GOAL_CPU:g} % of a core"
        rows = []
        for name in list(everybody)[:2]:
            rate, cpu = medians[name]
            figure = f"idle worker, {name}, against graphile-worker"
            met = rate <= GOAL_TRANSACTIONS and cpu < GOAL_CPU
            rows.append(row(figure, goal, told[name], told.get("graphile-worker", "not installable"), rate, met))
        record(given, "idle", rows, running.version, windows=found)


if __name__ == "__main__":
    main()
