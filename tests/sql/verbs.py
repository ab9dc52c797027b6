"""The SQL functions as thin Python functions: each only wraps a `select`, so a test reads as what it does.

The connection comes first. Jobs are named by what `claim` returned (`.id`, `.claims`) and rows come as named tuples.
"""

from collections.abc import Callable, Sequence
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import namedtuple_row, scalar_row
from psycopg.types.json import Jsonb

Row = Any

A, B = 1001, 1002
"""Ids of workers that nobody registered: enough for every verb that only compares them."""

LOCKS = "(select l.* from pg_locks l join pg_database d on d.oid = l.database where d.datname = current_database()) l"
"""The locks of this database: another test's are on the same server. For the `from` of a query."""


def rows(conn: psycopg.Connection, query: str, params: Any = None) -> list[Row]:
    return conn.cursor(row_factory=namedtuple_row).execute(query, params).fetchall()


def row(conn: psycopg.Connection, query: str, params: Any = None) -> Row:
    return conn.cursor(row_factory=namedtuple_row).execute(query, params).fetchone()


def values(conn: psycopg.Connection, query: str, params: Any = None) -> list[Any]:
    return conn.cursor(row_factory=scalar_row).execute(query, params).fetchall()


def value(conn: psycopg.Connection, query: str, params: Any = None) -> Any:
    return conn.cursor(row_factory=scalar_row).execute(query, params).fetchone()


def enqueue(conn: psycopg.Connection, kind: str | None = "noop", **options: Any) -> int:
    """options: parameters of pgqueue.enqueue, by name; a dict or list becomes jsonb."""
    given = {
        name: Jsonb(option) if isinstance(option, dict | list) else option
        for name, option in {"kind": kind, **options}.items()
    }
    arguments = sql.SQL(", ").join(
        sql.SQL("{} => {}").format(sql.Identifier(name), sql.Placeholder(name)) for name in given
    )
    return value(conn, sql.SQL("select id from pgqueue.enqueue({})").format(arguments), given)


def enqueue_many(conn: psycopg.Connection, jobs: Any) -> list[int]:
    return values(conn, "select id from pgqueue.enqueue_many(%s)", [Jsonb(jobs)])


def claim(
    conn: psycopg.Connection, worker: int = A, limit: int = 1, queue: str = "default", after: Any = (None, None)
) -> list[Row]:
    return rows(conn, "select * from pgqueue.claim(%s, %s, %s, %s::timestamptz[], %s::bigint[])", [
        worker, queue, limit, *after
    ])  # fmt: skip


def claimed(db: psycopg.Connection, worker: int = A, **options: Any) -> Row:
    """A new job, claimed: the usual arrangement."""
    created = enqueue(db, **options)
    (job,) = claim(db, worker, queue=options.get("queue", "default"))
    assert job.id == created
    return job


def ids(jobs: Sequence[Row]) -> list[int]:
    return [job.id for job in jobs]


def tokens(jobs: Sequence[Row]) -> tuple[list[int], list[int]]:
    return ids(jobs), [job.claims for job in jobs]


def finish(
    conn: psycopg.Connection,
    worker: int,
    jobs: Sequence[Row],
    results: list[Any] | None = None,
    result_ttls: list[str | None] | None = None,
) -> list[int]:
    given = None if results is None else [None if result is None else Jsonb(result) for result in results]
    return values(
        conn,
        "select * from pgqueue.finish(%s, %s::bigint[], %s::integer[], %s::jsonb[], %s::interval[])",
        [worker, *tokens(jobs), given, result_ttls],
    )


def fail(
    conn: psycopg.Connection,
    worker: int,
    jobs: Sequence[Row],
    error: str = "ValueError: no",
    traceback: str | None = None,
    retry_in: str | None = None,
    fingerprint: str | None = None,
) -> list[int]:
    """retry_in: an interval for all of them, `None` for no retry."""
    count = len(jobs)
    return values(
        conn,
        """select * from pgqueue.fail(
               %s, %s::bigint[], %s::integer[], %s::text[], %s::text[], %s::interval[], %s::text[]
           )""",
        [worker, *tokens(jobs), *([one] * count for one in (error, traceback, retry_in, fingerprint))],
    )


def snooze(
    conn: psycopg.Connection, worker: int, jobs: Sequence[Row], delay: str = "1 hour", reason: str | None = "busy"
) -> list[int]:
    return values(
        conn,
        "select * from pgqueue.snooze(%s, %s::bigint[], %s::integer[], %s::interval[], %s::text[])",
        [worker, *tokens(jobs), [delay] * len(jobs), [reason] * len(jobs)],
    )


def set_aside(conn: psycopg.Connection, worker: int, jobs: Sequence[Row]) -> list[int]:
    return values(conn, "select * from pgqueue.set_aside(%s, %s::bigint[], %s::integer[])", [worker, *tokens(jobs)])


def take_up(conn: psycopg.Connection, worker: int, limit: int = 10_000) -> int:
    return value(conn, "select pgqueue.take_up(%s, %s)", [worker, limit])


def abandon(conn: psycopg.Connection, worker: int, jobs: Sequence[Row], reason: str | None = "no need") -> list[int]:
    return values(
        conn,
        "select * from pgqueue.abandon(%s, %s::bigint[], %s::integer[], %s::text[])",
        [worker, *tokens(jobs), [reason] * len(jobs)],
    )


def once(conn: psycopg.Connection, worker: int, job: Row, key: str, value: Any = None) -> Row:
    given = None if value is None else Jsonb(value)
    return row(conn, "select * from pgqueue.once(%s, %s, %s, %s, %s)", [worker, job.id, job.claims, key, given])


def recall(conn: psycopg.Connection, worker: int, job: Row, key: str) -> list[Any]:
    """The value in a list, or nothing in it when the step was not taken."""
    return values(conn, "select * from pgqueue.recall(%s, %s, %s, %s)", [worker, job.id, job.claims, key])


def release(conn: psycopg.Connection, worker: int, jobs: Sequence[Row]) -> list[int]:
    return values(conn, "select * from pgqueue.release(%s, %s::bigint[], %s::integer[])", [worker, *tokens(jobs)])


def reconcile(conn: psycopg.Connection, worker: int, jobs: Sequence[Row]) -> list[int]:
    return values(conn, "select * from pgqueue.reconcile(%s, %s::bigint[], %s::integer[])", [worker, *tokens(jobs)])


def hold(conn: psycopg.Connection, worker: int, jobs: Sequence[Row]) -> list[int]:
    return values(conn, "select * from pgqueue.hold(%s, %s::bigint[], %s::integer[])", [worker, *tokens(jobs)])


def exchange(
    conn: psycopg.Connection,
    worker: int,
    finished: Sequence[Row] = (),
    queues: Sequence[str] = ("default",),
    limits: Sequence[int] = (10,),
    after: Any = (None, None),
) -> list[Row]:
    return rows(
        conn,
        """select * from pgqueue.exchange(
               %s, %s::bigint[], %s::integer[], null, %s, %s, %s::timestamptz[], %s::bigint[]
           )""",
        [worker, *tokens(finished), list(queues), list(limits), *after],
    )


def cancel(conn: psycopg.Connection, job: int, reason: str | None = None) -> str:
    return value(conn, "select pgqueue.cancel(%s, %s)", [job, reason])


def retry(conn: psycopg.Connection, job: int) -> None:
    conn.execute("select pgqueue.retry(%s)", [job])


def register(conn: psycopg.Connection, name: str = "host:1", kinds: Any = None) -> int:
    """kinds: {kind: kind of its hook, or None}."""
    given = [name, Jsonb({"default": 5}), Jsonb(kinds or {})]
    return value(conn, "select pgqueue.register(%s, 'host', 1, '0.1', %s, %s)", given)


def heartbeat(conn: psycopg.Connection, worker: int, running: int = 0, stopping: bool = False) -> None:
    conn.execute("select pgqueue.heartbeat(%s, %s, %s)", [worker, running, stopping])


def rescue(
    conn: psycopg.Connection, silence: str = "2 seconds", patience: str = "30 seconds", grace: str = "0 seconds"
) -> dict[int, int]:
    """Jobs given back, by dead worker. grace: none, as the tests' server may have started just now."""
    query = "select * from pgqueue.rescue(%s::interval, %s::interval, %s::interval)"
    found = rows(conn, query, [silence, patience, grace])
    return {dead.worker: dead.jobs for dead in found}


def silent_for(conn: psycopg.Connection, worker: int, interval: str) -> None:
    """Move the worker's last beat into the past, instead of waiting."""
    conn.execute(
        "update pgqueue.worker set heartbeat_at = clock_timestamp() - %s::interval where id = %s", [interval, worker]
    )


def dead_worker(sessions: Callable[[int], list[psycopg.Connection]], name: str = "host:1") -> int:
    """A worker whose process has gone: its lock is free and its last beat ten seconds old. Nobody rescued it yet."""
    (steward,) = sessions(1)
    worker = register(steward, name)
    silent_for(steward, worker, "10 seconds")
    steward.execute("select pg_advisory_unlock_all()")
    return worker


def job(conn: psycopg.Connection, id: int) -> Row:
    """The job as people see it."""
    return row(conn, "select * from pgqueue.jobs where id = %s", [id])


def state(conn: psycopg.Connection, id: int) -> str:
    return value(conn, "select state from pgqueue.jobs where id = %s", [id])


def live(conn: psycopg.Connection, id: int) -> Row:
    """The job's row while it lives, or `None`."""
    return row(conn, "select * from pgqueue.job where id = %s", [id])


def everything(conn: psycopg.Connection) -> list[Row]:
    """All that a verb could have written for any job, to compare before and after."""
    return [
        *rows(conn, "select * from pgqueue.job order by id"),
        *rows(conn, "select * from pgqueue.job_archive order by id"),
        *rows(conn, "select * from pgqueue.attempt order by job, claims"),
        *rows(conn, "select * from pgqueue.postponed order by job"),
        *rows(conn, "select * from pgqueue.progress order by job"),
        *rows(conn, "select * from pgqueue.job_log order by job, claims, line"),
        *rows(conn, "select * from pgqueue.once order by job, key"),
    ]
