"""Load: two workers on one queue, as fast as they can."""

import asyncio

import pytest

from pgqueue import enqueue_many, job
from tests.sql.verbs import row, value
from tests.worker.working import drain

pytestmark = pytest.mark.integration


async def test_two_workers_record_each_of_40_000_jobs_exactly_once(dsn, db):
    """They claim from the same rows side by side, prefetch and hand in by the hundred: nothing twice, nothing left."""
    ran: list[int] = []

    @job
    async def counts(number: int):
        ran.append(number)

    count = 40_000
    enqueue_many(db, [counts.job(number) for number in range(count)])

    await asyncio.gather(drain(dsn, name="one"), drain(dsn, name="two"))

    assert len(ran) == count
    assert set(ran) == set(range(count))
    recorded = row(
        db,
        """select count(*), count(distinct id) as jobs, max(claims) as claims, count(distinct worker) as workers
           from pgqueue.job_archive where state = 'completed'""",
    )
    assert recorded == (count, count, 1, 2)
    assert value(db, "select count(*) from pgqueue.job") == 0
