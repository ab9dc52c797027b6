"""Memory of one worker process over a million jobs: resident size, sampled all the time."""

from __future__ import annotations

import statistics

from kit import sides
from kit.pairs import arguments, record, row
from kit.runs import run
from kit.server import server

GOAL = 100.0
FLAT = 1.05
"""Median of the last tenth against the second: flat is at most this much."""


def main() -> None:
    given = arguments(__doc__, jobs=1_000_000, smoke=5_000, pairs=1)
    with server(given.major) as running:
        found = run(sides.pgqueue(running, "memory"), given.jobs)
        sizes = [size for _, size in found.memory]
        tenth = max(1, len(sizes) // 10)
        early, late = statistics.median(sizes[tenth : 2 * tenth] or sizes), statistics.median(sizes[-tenth:])
        print(f"  resident: {early:.1f} MB in the second tenth, {late:.1f} MB in the last, at most {max(sizes):.1f} MB")
        met = max(sizes) <= GOAL and late <= early * FLAT
        figure = f"memory of a worker over {given.jobs:,} jobs: most, against its second tenth"
        ours, theirs = f"{max(sizes):.0f} MB", f"{early:.0f} MB"
        rows = [row(figure, f"flat, ≤ {GOAL:g} MB", ours, theirs, max(sizes), met)]
        record(given, "memory", rows, running.version, memory=found.memory, rate=found.rate)


if __name__ == "__main__":
    main()
