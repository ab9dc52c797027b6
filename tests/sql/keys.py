"""Jobs with a unique key, and who holds it."""

from typing import Any

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from tests.sql.verbs import A, Row, claim, row, value

LEVELS = ["read uncommitted", "read committed", "repeatable read", "serializable"]


def unique(conn: psycopg.Connection, key: str | None = "k", **options: Any) -> Row:
    """Enqueue under a key; the answer has id and created. options: as verbs.enqueue."""
    given = {
        name: Jsonb(option) if isinstance(option, dict | list) else option
        for name, option in {"kind": "noop", "unique_key": key, **options}.items()
    }
    arguments = sql.SQL(", ").join(
        sql.SQL("{} => {}").format(sql.Identifier(name), sql.Placeholder(name)) for name in given
    )
    return row(conn, sql.SQL("select * from pgqueue.enqueue({})").format(arguments), given)


def find(conn: psycopg.Connection, key: str = "k", scope: str = "noop") -> int | None:
    return value(conn, "select pgqueue.find_unique(%s, %s)", [scope, key])


def release_key(conn: psycopg.Connection, key: str = "k", scope: str = "noop") -> int | None:
    return value(conn, "select pgqueue.release_unique(%s, %s)", [scope, key])


def running(conn: psycopg.Connection, worker: int = A) -> Row:
    """Claims the one job that can be claimed."""
    (job,) = claim(conn, worker, limit=9)
    return job


def follow(conn: psycopg.Connection) -> int:
    return value(conn, "select pgqueue.follow()")


def expire(conn: psycopg.Connection, limit: int = 1000) -> int:
    return value(conn, "select pgqueue.expire(%s)", [limit])


def forget(conn: psycopg.Connection) -> int:
    return value(conn, "select pgqueue.forget_keys()")


def pass_period(conn: psycopg.Connection) -> None:
    """All periods are over, without waiting for it."""
    conn.execute("update pgqueue.unique_key set free_at = clock_timestamp() - interval '1 second'")


def pass_expiry(conn: psycopg.Connection) -> None:
    """All jobs that can expire are due to."""
    conn.execute(
        "update pgqueue.job set expires_at = clock_timestamp() - interval '1 second' where expires_at is not null"
    )
