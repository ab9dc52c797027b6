"""How fast one worker process empties a queue of no-op jobs: pgqueue, its peers, and what the SQL alone allows.

Everybody starts from the same state: all jobs there, statistics fresh, a checkpoint just made. pgqueue keeps its
history and runs with default settings; peers run as their documentation tunes them for throughput.
"""

from __future__ import annotations

from functools import partial

from kit import sides
from kit.drain import drain, figures
from kit.pairs import alternate, arguments, ratio, record, row, show, summary
from kit.server import server

GOALS = {"graphile-worker": 2.5, "PgQueuer": 5.0, "Procrastinate": None, "SQL floor": 0.75}
SLOW = 100
"""Procrastinate gets one job of this many: it would take a quarter of an hour; its rate does not depend on that."""


def main() -> None:
    given = arguments(__doc__, jobs=200_000, smoke=2_000)
    with server(given.major) as running:
        ours = sides.pgqueue(running)
        peers = sides.available(sides.graphile, sides.pgqueuer, sides.procrastinate, server=running)
        everybody = [ours, sides.floor(ours), *peers]
        jobs = {side.name: given.jobs // SLOW if side.name == "Procrastinate" else given.jobs for side in everybody}
        measures = {side.name: partial(drain, running, side, jobs[side.name]) for side in everybody}
        runs = alternate(measures, given.pairs)
        rates = {name: [run.rate for run in found] for name, found in runs.items()}
        print(f"drain, {given.jobs:,} async no-op jobs, one worker process, Postgres {running.version}")
        rows = []
        for name in rates:
            show(name, found := summary(rates[name]), "jobs/s")
            if name == ours.name:
                continue
            times, goal = ratio(rates[ours.name], rates[name]), GOALS[name]
            show(f"  pgqueue / {name}", times, "×", 2)
            rows.append(
                row(
                    f"drain of {given.jobs:,} async jobs against {name}",
                    f"≥ {goal} ×" if goal else "no goal",
                    f"{summary(rates[ours.name])['median']:,.0f} jobs/s",
                    f"{found['median']:,.0f} jobs/s",
                    times["median"],
                    goal is None or times["median"] >= goal,
                )
            )
        record(given, "drain", rows, running.version, jobs=jobs, runs=figures(runs))


if __name__ == "__main__":
    main()
