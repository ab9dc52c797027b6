"""Jobs taken ahead of a free slot: they are not kept from other workers for long."""

import asyncio
from collections import Counter

import psycopg
import pytest

from pgqueue import enqueue_many, job
from tests.sql.verbs import value, values
from tests.worker.working import until, working

pytestmark = pytest.mark.integration


async def test_jobs_prefetched_behind_long_ones_go_back_to_the_queue(dsn, db):
    """Fast jobs are fetched by the hundred; when long ones follow, another worker must get what waits behind them."""
    go_on = asyncio.Event()

    @job
    async def fast():
        pass

    @job
    async def long():
        await go_on.wait()

    slots = 4
    # Later fast ones stand behind as many long ones as there are slots, and were claimed with the first of them.
    enqueue_many(db, [*(fast.job() for _ in range(5000)), *(long.job() for _ in range(slots))])
    enqueue_many(db, [fast.job() for _ in range(2000)])

    async with working(dsn, queues={"default": slots}):
        await until(lambda: held(db)["long"] == slots)
        await until(lambda: held(db) == {"long": slots})
        ready = value(db, "select count(*) from pgqueue.job where worker is null and attempt = 0 and kind = 'fast'")
        go_on.set()

    assert ready > 0


def held(db: psycopg.Connection) -> Counter[str]:
    """How many jobs of each kind a worker holds."""
    return Counter(values(db, "select kind from pgqueue.job where worker is not null"))
