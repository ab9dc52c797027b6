"""Slots: how many jobs of a queue run at the same time in one worker."""

import asyncio

import pytest

from pgqueue import enqueue_many, job
from tests.sql.verbs import value
from tests.worker.working import drain, until, until_all, working

pytestmark = pytest.mark.integration


async def test_slots_of_each_queue_are_filled_and_never_exceeded(dsn, db):
    """They are how an operator protects what the handlers talk to."""
    slots = {"narrow": 2, "wide": 7}
    running = dict.fromkeys(slots, 0)
    most = dict.fromkeys(slots, 0)

    @job
    async def count(queue: str, waits: float):
        running[queue] += 1
        most[queue] = max(most[queue], running[queue])
        if waits:
            await asyncio.sleep(waits)
        running[queue] -= 1

    for queue in slots:
        # Of several lengths, so that the worker prefetches some of them.
        enqueue_many(db, [count.job(queue, i % 3 / 500).options(queue=queue) for i in range(200)])

    await drain(dsn, queues=slots)

    assert most == slots
    assert value(db, "select count(*) from pgqueue.jobs where state = 'completed'") == 400


async def test_a_saturated_queue_does_not_stop_another(dsn, db):
    """Slow reports must not hold up the mail."""
    go_on = asyncio.Event()

    @job(queue="reports")
    async def report():
        await go_on.wait()

    @job(queue="mail")
    async def mail():
        pass

    enqueue_many(db, [report.job() for _ in range(5)])
    async with working(dsn, queues={"reports": 2, "mail": 2}):
        await until(lambda: value(db, "select running from pgqueue.queue_stats where queue = 'reports'") == 2)
        enqueue_many(db, [mail.job() for _ in range(50)])
        await until_all(db, count=50)
        assert value(db, "select ready from pgqueue.queue_stats where queue = 'reports'") == 3
        go_on.set()
        await until_all(db)


async def test_long_jobs_are_not_hoarded(dsn, db):
    """What one worker prefetches no other can start: of jobs that take long it takes as many as it has slots."""
    go_on = asyncio.Event()

    @job
    async def takes_long():
        await go_on.wait()

    enqueue_many(db, [takes_long.job() for _ in range(10)])
    async with working(dsn, queues={"default": 1}), working(dsn, queues={"default": 3}):
        held = "select array_agg(held order by held) from (select count(*) held from pgqueue.job group by worker) each"
        await until(lambda: value(db, held) == [1, 3, 6])
        go_on.set()
        await until_all(db)


async def test_jobs_start_by_priority_then_age(dsn, db):
    """With one slot the order is exact."""
    order = []

    @job
    async def note(name: str):
        order.append(name)
        await asyncio.sleep(0.05)  # too long to be prefetched

    jobs = [("late", 9), ("first", 0), ("b", 5), ("c", 5)]
    enqueue_many(db, [note.job(name).options(priority=priority) for name, priority in jobs])

    await drain(dsn, queues={"default": 1})

    assert order == ["first", "b", "c", "late"]
