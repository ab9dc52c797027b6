"""A worker inside the test's own event loop, and ways to wait for what it does.

    async with working(dsn, queues={"default": 2}) as worker:
        await until(lambda: state(db, id) == "completed")

Questions to the database are asked on a sync connection: they block the loop for a millisecond, and the worker with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import psycopg

from pgqueue.worker import Worker, WorkerOptions
from tests.sql.verbs import LOCKS, value, values

PATIENCE_SECONDS = 45
"""Until a test gives up hope: far more than anything here takes, even on a machine that is busy with other things; and
less than the minute for which handlers here sleep that never end by themselves."""
NEVER = 1000.0
"""A fallback poll that never comes: whatever wakes the worker was a ring or a timer."""


@contextlib.asynccontextmanager
async def working(dsn: str, **options: Any) -> AsyncIterator[Worker]:
    """A worker that runs meanwhile; at the end it is stopped at once. options: of `WorkerOptions`."""
    worker = Worker(dsn, WorkerOptions(**options))
    running = asyncio.create_task(worker.run())
    try:
        yield worker
    finally:
        worker.stop()
        worker.stop()
        async with asyncio.timeout(PATIENCE_SECONDS):
            await running


async def work(dsn: str, **options: Any) -> None:
    """A worker that ends by itself: with `drain`, `max_jobs` or `max_time`."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        await Worker(dsn, WorkerOptions(**options)).run()


async def drain(dsn: str, **options: Any) -> None:
    """A worker that ends when nothing is left that could run now."""
    await work(dsn, drain=True, **options)


async def until(condition: Callable[[], Any], within: float = PATIENCE_SECONDS) -> Any:
    """Waits until `condition()` is true and returns what it is. within: seconds."""
    deadline = time.monotonic() + within
    while not (met := condition()):
        assert time.monotonic() < deadline, f"waited {within} s in vain"
        await asyncio.sleep(0.005)
    return met


async def until_asleep(db: psycopg.Connection, queues: int = 1) -> None:
    """Waits until a worker has parked on that many queues and looked once more: it sleeps until somebody rings."""
    # classid is the key of `parked` in sql/functions/wake.sql; the last question of a bell before it sleeps is for its
    # timer.
    await until(
        lambda: (
            value(db, f"select count(*) from {LOCKS} where locktype = 'advisory' and classid = 1885827330") >= queues
            and value(
                db,
                """select bool_and(query like '%next_run_at%' and state = 'idle') from pg_stat_activity
                   where datname = current_database() and application_name = 'pgqueue bell'""",
            )
        )
    )


async def until_all(db: psycopg.Connection, state: str = "completed", count: int | None = None) -> None:
    """Waits until all jobs, or `count` of them, are in that state."""
    await until(
        lambda: (
            value(db, "select count(*) from pgqueue.jobs where state = %s", [state])
            == (count or value(db, "select count(*) from pgqueue.jobs"))
        )
    )


def states(db: psycopg.Connection) -> list[str]:
    """Of all jobs, in the order of their ids."""
    return values(db, "select state from pgqueue.jobs order by id")


def attempts(db: psycopg.Connection, job: int) -> list[tuple[int, str]]:
    """Number and error of each attempt that failed."""
    return db.execute(
        "select a.attempt, a.error from pgqueue.attempt a where a.job = %s order by a.claims", [job]
    ).fetchall()


def worker_ids(db: psycopg.Connection) -> list[int]:
    """Of the workers that live, oldest first."""
    return values(db, "select id from pgqueue.workers where state in ('running', 'stopping', 'silent') order by id")


def connections(db: psycopg.Connection, *roles: str) -> list[int]:
    """Server processes of the workers' connections: lane, bell, steward; all of them unless told which."""
    return values(
        db,
        """select pid from pg_stat_activity
           where datname = current_database() and application_name = any (%s) order by pid""",
        [[f"pgqueue {role}" for role in roles or ("lane", "bell", "steward")]],
    )
