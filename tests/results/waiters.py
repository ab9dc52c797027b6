"""Somebody who waits for results, and what the database shows of it."""

from __future__ import annotations

import asyncio
from typing import Any

import psycopg

from pgqueue.results import AsyncResults
from tests.sql.verbs import LOCKS, value, values
from tests.worker.working import until

NEVER = 1000.0
"""Seconds between looks that never come: whatever tells a waiter was a ring."""


def waiting(results: AsyncResults, id: int, timeout: float | None = None) -> asyncio.Task[Any]:
    """Somebody who waits for a job, as a task of its own."""
    return asyncio.ensure_future(results.of(id).result(timeout=timeout))


def connections(db: psycopg.Connection) -> list[int]:
    """Server processes that serve those who wait."""
    return values(
        db,
        "select pid from pg_stat_activity where datname = current_database() and application_name = 'pgqueue results'",
    )


def parked(db: psycopg.Connection) -> int:
    """How many have said that they wait."""
    return value(
        db,
        f"""select count(*) from {LOCKS}
            where locktype = 'advisory' and classid = 1885827330 and objid = hashtext('@results')::oid""",
    )


async def until_asleep(db: psycopg.Connection) -> None:
    """Until they have looked and wait to be rung."""
    idle = """select bool_and(state = 'idle' and query like '%%outcomes%%') from pg_stat_activity
              where datname = current_database() and application_name = 'pgqueue results'"""
    await until(lambda: parked(db) and value(db, idle))
    for _ in range(20):  # what was read has been passed on
        await asyncio.sleep(0)
