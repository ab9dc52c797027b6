"""What results, progress and log lines cost the server: processor time of its backend, and WAL.

    python benchmarks/results_and_reports.py "host=127.0.0.1 dbname=empty"   # with the schema, on this machine

Processor time, not elapsed: it is the same on a busy machine. Statements are prepared, each a transaction of its own.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg

TIMES = 5_000


def cpu(connection: psycopg.Connection[Any]) -> float:
    """Microseconds that the backend has run."""
    return int(Path(f"/proc/{connection.info.backend_pid}/schedstat").read_text().split()[0]) / 1_000


def wal(connection: psycopg.Connection[Any]) -> int:
    """Bytes written so far."""
    row = connection.execute("select pg_current_wal_insert_lsn() - '0/0'").fetchone()
    assert row is not None
    return int(row[0])


def measure(connection: psycopg.Connection[Any], what: str, call: Callable[[int], tuple[str, list[Any]]]) -> None:
    """Prints microseconds and bytes of WAL for one call. call: SQL and parameters of the call of that number."""
    for number in range(200):
        connection.execute(*call(-number - 1), prepare=True)
    before, written = cpu(connection), wal(connection)
    for number in range(TIMES):
        connection.execute(*call(number), prepare=True)
    took, bytes_ = cpu(connection) - before, wal(connection) - written
    print(f"| {what} | {took / TIMES:.1f} | {bytes_ / TIMES:.0f} |")


def main() -> None:
    """Prints a table."""
    dsn = sys.argv[1]
    with psycopg.connect(dsn, autocommit=True) as db, psycopg.connect(dsn, autocommit=True) as waiter:
        db.execute("create function pg_temp.nothing(p bigint[]) returns void language plpgsql as 'begin end'")
        db.execute("insert into pgqueue.job (kind, worker, claims) select 'noop', 1, 1 from generate_series(1, 10)")
        ids = [row[0] for row in db.execute("select id from pgqueue.job order by id desc limit 10")]
        print("| what | µs | WAL, bytes |\n|---|---:|---:|")
        measure(db, "a call that does nothing", lambda n: ("select pg_temp.nothing(%s::bigint[])", [[1]]))
        ring = "select pgqueue.ring_finished(%s::bigint[])"
        measure(db, "ring_finished, nobody waits", lambda n: (ring, [[1]]))
        waiter.execute("select pgqueue.park('@results')")
        measure(db, "ring_finished, somebody waits", lambda n: (ring, [[1]]))
        waiter.execute("select pgqueue.unpark('@results')")
        report = "select pgqueue.report(1, %s::bigint[], %s::integer[], %s::double precision[], %s::text[])"
        for jobs in (1, 10):
            measure(
                db,
                f"a report of the progress of {jobs} job{'s' * (jobs > 1)}",
                lambda n, jobs=jobs: (report, [ids[:jobs], [1] * jobs, [abs(n) / TIMES] * jobs, ["x" * 20] * jobs]),
            )
        lines = f"{report[:-1]}, %s::integer[], %s::integer[], %s::double precision[], %s::text[], %s::text[])"
        first = [TIMES * 20]

        def told(n: int) -> tuple[str, list[Any]]:
            first[0] += 10
            numbers = list(range(first[0], first[0] + 10))
            return lines, [ids[:1], [1], [None], [None], [1] * 10, numbers, [0.0] * 10, ["info"] * 10, ["x" * 60] * 10]

        measure(db, "a report of 10 lines of 60 characters", told)


if __name__ == "__main__":
    main()
