"""What each outcome of an attempt costs the server: time and WAL of one job, in batches of 500.

    python benchmarks/outcomes.py DSN        # of an empty database with the schema, which is emptied again and again

By `explain (analyze, wal)`, the median of five rounds. The traceback of a failure has 1,000 characters.
"""

from __future__ import annotations

import json
import statistics
import sys
from typing import Any

import psycopg

JOBS, ROUNDS = 500, 5
KINDS = {"noop": None, "hooked": "hooked:on_failed"}
FAIL = (
    "pgqueue.fail(%(worker)s, %(ids)s, %(claims)s, array_fill('ValueError: no'::text, array[{jobs}]), "
    "array_fill(repeat('x', 1000), array[{jobs}]), array_fill({pause}::interval, array[{jobs}]))"
).replace("{jobs}", str(JOBS))
VERBS = {
    "completed": ("noop", "pgqueue.finish(%(worker)s, %(ids)s, %(claims)s)"),
    "released": ("noop", "pgqueue.release(%(worker)s, %(ids)s, %(claims)s)"),
    "failed, retried": ("noop", FAIL.replace("{pause}", "'1 hour'")),
    "failed for good": ("noop", FAIL.replace("{pause}", "null")),
    "failed for good, with a hook": ("hooked", FAIL.replace("{pause}", "null")),
    "snoozed": (
        "noop",
        f"pgqueue.snooze(%(worker)s, %(ids)s, %(claims)s, array_fill(interval '1 hour', array[{JOBS}]), "
        f"array_fill('busy'::text, array[{JOBS}]))",
    ),
    "cancelled by its handler": (
        "noop",
        f"pgqueue.abandon(%(worker)s, %(ids)s, %(claims)s, array_fill('withdrawn'::text, array[{JOBS}]))",
    ),
    "of an unknown kind": ("noop", "pgqueue.set_aside(%(worker)s, %(ids)s, %(claims)s)"),
}


def main() -> None:
    with psycopg.connect(sys.argv[1], autocommit=True) as db:
        for name, (kind, verb) in VERBS.items():
            rounds = [measure(db, kind, verb) for _ in range(ROUNDS)]
            times, wal = zip(*rounds, strict=True)
            print(f"{name:<30} {statistics.median(times):6.0f} µs {statistics.median(wal):6.0f} bytes of WAL")


def measure(db: psycopg.Connection[Any], kind: str, verb: str) -> tuple[float, float]:
    """Microseconds and bytes of WAL, for one job."""
    db.execute("truncate pgqueue.job, pgqueue.attempt, pgqueue.postponed, pgqueue.job_archive")
    (worker,) = one(db, "select pgqueue.register('bench', 'host', 1, '0', '{}', %s)", [json.dumps(KINDS)])
    many = json.dumps([{"kind": kind}] * JOBS)
    db.execute("select pgqueue.enqueue_many(%s)", [many])
    taken = db.execute("select id, claims from pgqueue.claim(%s, 'default', %s)", [worker, JOBS]).fetchall()
    ids, claims = zip(*taken, strict=True)
    params = {"worker": worker, "ids": list(ids), "claims": list(claims)}
    (told,) = one(db, f"explain (analyze, wal, format json) select * from {verb}", params)
    return told[0]["Execution Time"] * 1000 / JOBS, told[0]["Plan"]["WAL Bytes"] / JOBS


def one(db: psycopg.Connection[Any], sql: str, params: Any) -> Any:
    return db.execute(sql.encode(), params).fetchone()


if __name__ == "__main__":
    main()
