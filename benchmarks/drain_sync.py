"""The drain with sync handlers, each in a thread, against async ones in the same worker."""

from __future__ import annotations

from functools import partial

from kit import sides
from kit.drain import drain, figures
from kit.pairs import alternate, arguments, ratio, record, row, show, summary
from kit.server import server

GOAL_RATE, GOAL_PART = 10_000, 0.25


def main() -> None:
    given = arguments(__doc__, jobs=200_000, smoke=2_000)
    with server(given.major) as running:
        plain = sides.pgqueue(running)
        threads = sides.variant(plain, "pgqueue noop_sync", kind="noop_sync")
        measures = {side.name: partial(drain, running, side, given.jobs) for side in (threads, plain)}
        runs = alternate(measures, given.pairs)
        sync, quick = ([run.rate for run in found] for found in runs.values())
        part, rate = ratio(sync, quick), summary(sync)
        show("sync handlers, in threads", rate, "jobs/s")
        show("async handlers", other := summary(quick), "jobs/s")
        show("sync / async", part, "×", 2)
        met = rate["median"] >= GOAL_RATE and part["median"] >= GOAL_PART
        figure = f"drain of {given.jobs:,} sync jobs, in threads, against async"
        goal = f"≥ {GOAL_RATE:,} jobs/s and ≥ {GOAL_PART} ×"
        ours, theirs = f"{rate['median']:,.0f} jobs/s", f"{other['median']:,.0f} jobs/s"
        rows = [row(figure, goal, ours, theirs, part["median"], met)]
        record(given, "drain_sync", rows, running.version, runs=figures(runs))


if __name__ == "__main__":
    main()
