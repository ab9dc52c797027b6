"""What handlers really did, written down by themselves: in a server that no fault touches, on connections of their own.

Handlers are not told their claim, and need not be. The ledger does need it, to tell two runs of one job apart: it is
in the context's private parts.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import psycopg
from psycopg.rows import class_row

from pgqueue import JobContext

DSN: Final = "PGQUEUE_CHAOS_LEDGER"
"""Environment variable with the ledger's DSN."""
TABLE: Final = """create table run (
    id      bigint generated always as identity primary key,
    job     bigint not null,
    claim   integer not null,
    worker  bigint not null,
    attempt integer not null,
    pid     integer not null,
    began   timestamptz not null default clock_timestamp(),
    ended   timestamptz
)"""

_mine = threading.local()


class Run(NamedTuple):
    """One start of a handler. worker: under which id it was claimed. began, ended: seconds since the epoch; `ended` is
    None if it was cut off, by its death or by its worker."""

    job: int
    claim: int
    worker: int
    attempt: int
    pid: int
    began: float
    ended: float | None


def read(db: psycopg.Connection[Any]) -> list[Run]:
    """All runs, in the order in which they began."""
    return (
        db.cursor(row_factory=class_row(Run))
        .execute(
            """select job, claim, worker, attempt, pid, extract(epoch from began)::float as began,
                   extract(epoch from ended)::float as ended
               from run order by began, id"""
        )
        .fetchall()
    )


@contextlib.contextmanager
def run(context: JobContext) -> Iterator[None]:
    """Around the body of a handler: its start, and its end unless it is cut off. One that raises has ended too."""
    worker, claim = context._steps._worker(), context._claims
    (id,) = _ask(
        "insert into run (job, claim, worker, attempt, pid) values (%s, %s, %s, %s, %s) returning id",
        [context.id, claim, worker, context.attempt, os.getpid()],
    )
    try:
        yield
    except Exception:
        _ask("update run set ended = clock_timestamp() where id = %s returning id", [id])
        raise
    else:
        _ask("update run set ended = clock_timestamp() where id = %s returning id", [id])


def _ask(query: str, params: list[Any]) -> Any:
    """Blocks the event loop for a millisecond, and so cannot be cancelled half-way."""
    if not hasattr(_mine, "db"):
        _mine.db = psycopg.connect(os.environ[DSN], autocommit=True)
    return _mine.db.execute(query, params).fetchone()
