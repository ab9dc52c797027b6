"""The drain with a timeout on every job, and with a payload of 1 kB, against plain no-op jobs."""

from __future__ import annotations

from functools import partial

from kit import sides
from kit.drain import drain, figures
from kit.pairs import alternate, arguments, ratio, record, row, show, summary
from kit.server import server

GOAL = 0.8


def main() -> None:
    given = arguments(__doc__, jobs=200_000, smoke=2_000)
    with server(given.major) as running:
        plain = sides.pgqueue(running)
        others = {
            "timeout on every job": sides.variant(plain, "timeout on every job", timeout="'30 s'"),
            "payload of 1 kB": sides.variant(
                plain, "payload of 1 kB", kind="padded", args=", 'pad', left(repeat(md5(g::text), 32), 1000)"
            ),
        }
        measures = {side.name: partial(drain, running, side, given.jobs) for side in (plain, *others.values())}
        runs = alternate(measures, given.pairs)
        rates = {name: [run.rate for run in found] for name, found in runs.items()}
        show("plain", base := summary(rates[plain.name]), "jobs/s")
        rows = []
        for name in others:
            part = ratio(rates[name], rates[plain.name])
            show(name, mine := summary(rates[name]), "jobs/s")
            show(f"  {name} / plain", part, "×", 2)
            ours, theirs = f"{mine['median']:,.0f} jobs/s", f"{base['median']:,.0f} jobs/s"
            figure = f"drain of {given.jobs:,} jobs with {name}, against plain"
            rows.append(row(figure, f"≥ {GOAL} ×", ours, theirs, part["median"], part["median"] >= GOAL))
        record(given, "drain_variants", rows, running.version, runs=figures(runs))


if __name__ == "__main__":
    main()
