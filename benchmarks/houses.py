"""The drain in full houses: 2 million jobs dated ahead at every priority, 5 million ready, 5 million archived.

Each house is a database of its own on one server; in turns, each gets the same number of ready jobs (the second has
them already) and one worker that stops after that many. Compared is the time against the empty house.
"""

from __future__ import annotations

from functools import partial

import psycopg
from kit import sides
from kit.pairs import alternate, arguments, ratio, record, row, show, summary
from kit.runs import Run, run
from kit.server import Server, server

GOAL = 1.2
AHEAD, READY, ARCHIVED = 2_000_000, 5_000_000, 5_000_000

DATED_AHEAD = """
insert into pgqueue.job (kind, args, priority, run_at)
select 'noop', jsonb_build_object('n', g), g %% 10, clock_timestamp() + interval '1 day' + g * interval '1 millisecond'
from generate_series(1, %(count)s) g
"""
IN_ARCHIVE = """
insert into pgqueue.job_archive (id, run_at, created_at, started_at, finished_at, worker, claims, priority, attempt,
    max_attempts, state, queue, kind, args)
select -g, now(), now(), now(), now() - interval '1 minute', 1, 1, 5, 1, 20, 'completed', 'default', 'noop',
    jsonb_build_object('n', g)
from generate_series(1, %(count)s) g
"""


def build(running: Server, name: str, sql: str, count: int) -> sides.Side:
    """A house with `count` rows of its own."""
    side = sides.pgqueue(running, name)
    with psycopg.connect(side.dsn, autocommit=True) as connection:
        if count:
            connection.execute(sql, {"count": count})
        connection.execute("vacuum analyze")
        connection.execute("checkpoint")
    return side


def work(side: sides.Side, jobs: int, *, add: bool = True) -> Run:
    """Drains `jobs` jobs in a house. add: put them there first."""

    def prepare() -> None:
        with psycopg.connect(side.dsn, autocommit=True) as connection:
            if add:
                connection.execute(side.fill, {"jobs": jobs})
            connection.execute("vacuum analyze pgqueue.job")
            connection.execute("checkpoint")

    return run(side, jobs, prepare=prepare)


def main() -> None:
    given = arguments(__doc__, jobs=200_000, smoke=2_000)
    scale = 1000 if given.smoke else 1
    ready = max(READY // scale, given.jobs * given.pairs * 2)
    with server(given.major) as running:
        empty = build(running, "empty", "", 0)
        houses = {
            f"{AHEAD // scale:,} jobs dated ahead": build(running, "ahead", DATED_AHEAD, AHEAD // scale),
            f"{ready:,} jobs ready": build(running, "ready", sides.NOOPS, ready),
            f"{ARCHIVED // scale:,} jobs archived": build(running, "archived", IN_ARCHIVE, ARCHIVED // scale),
        }
        measures = {"empty": partial(work, empty, given.jobs)}
        for name, side in houses.items():
            measures[name] = partial(work, side, given.jobs, add=side.database != "ready")
        runs = alternate(measures, given.pairs)
        rates = {name: [each.rate for each in found] for name, found in runs.items()}
        show("empty house", base := summary(rates["empty"]), "jobs/s")
        rows = []
        for name in houses:
            times = ratio(rates["empty"], rates[name])
            show(name, mine := summary(rates[name]), "jobs/s")
            show("  time against the empty house", times, "×", 2)
            figure = f"drain of {given.jobs:,} beside {name}, against an empty house"
            ours, theirs = f"{mine['median']:,.0f} jobs/s", f"{base['median']:,.0f} jobs/s"
            rows.append(row(figure, f"≤ {GOAL} × the time", ours, theirs, times["median"], times["median"] <= GOAL))
        record(given, "houses", rows, running.version, rates=rates)


if __name__ == "__main__":
    main()
