"""The archive with a past: rows that finished on other days, without waiting for them."""

from datetime import date

import psycopg

from tests.sql.verbs import value, values


def archived(db: psycopg.Connection, age: str, state: str = "completed", queue: str = "default") -> int:
    """A job that finished `age` (an interval) ago; returns its id."""
    return value(
        db,
        """insert into pgqueue.job_archive
               (id, run_at, created_at, finished_at, claims, priority, attempt, max_attempts, state, queue, kind, args)
           select nextval('pgqueue.job_id_seq'), f.at, f.at, f.at, 1, 5, 1, 1, %s, %s, 'noop', '{}'
           from (select clock_timestamp() - %s::interval as at) f
           returning id""",
        [state, queue, age],
    )


def make_day(db: psycopg.Connection, half: str, days_ago: int) -> str:
    """The day's partition; returns its name."""
    day = value(db, "select (clock_timestamp() at time zone 'UTC')::date - %s", [days_ago])
    db.execute("select pgqueue.make_day(%s, %s)", [half, day])
    return name(half, day)


def name(half: str, day: date) -> str:
    return f"job_archive_{half}_{day:%Y%m%d}"


def today(db: psycopg.Connection) -> date:
    return value(db, "select (clock_timestamp() at time zone 'UTC')::date")


def partitions(db: psycopg.Connection, half: str) -> list[str]:
    """Of one half, the default one left out."""
    return values(
        db,
        """select c.relname from pg_inherits i join pg_class c on c.oid = i.inhrelid
           where i.inhparent = %s::regclass and c.relname not like '%%default' order by 1""",
        [f"pgqueue.job_archive_{half}"],
    )


def place(db: psycopg.Connection, id: int) -> str | None:
    """The partition a finished job lies in; `None` when it is gone."""
    return value(db, "select tableoid::regclass::text from pgqueue.job_archive where id = %s", [id])


def kept(db: psycopg.Connection) -> list[int]:
    return values(db, "select id from pgqueue.job_archive order by id")
