"""The functions about schedules, each as a `select`; the connection comes first."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from tests.sql.verbs import row, rows, value, values

Row = Any


def schedule(conn: psycopg.Connection, name: str = "nightly", kind: str = "report", **given: Any) -> Row:
    """created, next_run_at. An interval of an hour unless told otherwise."""
    if "cron" not in given and "every" not in given:
        given["every"] = "1 hour"
    given = {key: Jsonb(item) if isinstance(item, dict) else item for key, item in given.items()}
    casts = {"every": "::interval", "jitter": "::interval"} | dict.fromkeys(
        ("start_at", "end_at", "first_run_at"), "::timestamptz"
    )
    named = "".join(f", {key} => %({key})s{casts.get(key, '')}" for key in given)
    return row(
        conn, f"select * from pgqueue.schedule(%(name)s, %(kind)s{named})", {"name": name, "kind": kind, **given}
    )


def stored(conn: psycopg.Connection, name: str = "nightly") -> Row:
    """Its row."""
    return row(conn, "select * from pgqueue.schedule s where s.name = %s", [name])


def seen(conn: psycopg.Connection, name: str = "nightly") -> Row:
    """The schedule as people see it."""
    return row(conn, "select * from pgqueue.schedules v where v.name = %s", [name])


def verb(conn: psycopg.Connection, function: str, name: str = "nightly") -> Any:
    """pause_schedule, resume_schedule, run_schedule, remove_schedule."""
    return value(conn, f"select pgqueue.{function}(%s)", [name])


def due_since(conn: psycopg.Connection, interval: str, name: str = "nightly") -> Any:
    """Move its next moment into the past, instead of waiting; returns it."""
    return value(
        conn,
        """update pgqueue.schedule set next_run_at = date_trunc('second', clock_timestamp()) - %s::interval
           where name = %s returning next_run_at""",
        [interval, name],
    )


def fire(conn: psycopg.Connection, *names: str, fire_at: Any = ..., next_run_at: Any = ...) -> list[Row]:
    """One step of each, from where it stands to an interval later unless told otherwise."""
    found = [stored(conn, name) for name in names or ("nightly",)]
    return rows(
        conn,
        "select * from pgqueue.fire(%s::text[], %s::int[], %s::timestamptz[], %s::timestamptz[], %s::timestamptz[])",
        [
            [each.name for each in found],
            [each.revision for each in found],
            [each.next_run_at for each in found],
            [each.next_run_at if fire_at is ... else fire_at for each in found],
            [each.next_run_at + each.every if next_run_at is ... else next_run_at for each in found],
        ],
    )


def due(conn: psycopg.Connection, within: str = "1 second") -> list[str]:
    """Names of what an owner would look at."""
    return values(conn, "select name from pgqueue.due_schedules(%s::interval)", [within])


def metas(conn: psycopg.Connection) -> list[dict[str, str]]:
    """What the jobs say of their schedule, oldest first."""
    return values(conn, "select meta from pgqueue.job order by id")
