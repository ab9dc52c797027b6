"""Stopping: what a worker does with its jobs when it is told to end, in its own process' words."""

import asyncio
import logging
import threading

import pytest

from pgqueue import enqueue, enqueue_many, job
from pgqueue.worker import Worker, WorkerOptions
from tests.sql.verbs import row, state, value
from tests.worker.working import NEVER, PATIENCE_SECONDS, attempts, connections, states, until, working

pytestmark = pytest.mark.integration


async def test_running_jobs_finish_and_waiting_ones_are_left(dsn, db):
    """A deploy should cost no attempt."""
    begun, go_on = [], asyncio.Event()

    @job
    async def waits():
        begun.append(True)
        await go_on.wait()

    enqueue_many(db, [waits.job() for _ in range(5)])
    async with working(dsn, queues={"default": 2}) as worker:
        await until(lambda: len(begun) == 2)
        worker.stop()
        go_on.set()
        await until(lambda: value(db, "select state from pgqueue.workers") == "stopped")

    assert states(db) == ["completed"] * 2 + ["ready"] * 3


async def test_a_worker_that_stops_takes_nothing_more(dsn, db):
    """Not even to give it back: another worker may start it at once, and each claim costs."""
    begun, go_on = asyncio.Event(), asyncio.Event()

    @job
    async def waits():
        begun.set()
        await go_on.wait()

    enqueue(db, waits.job())
    async with working(dsn, poll=0.05) as worker:
        await begun.wait()
        worker.stop()
        second = enqueue(db, waits.job()).id
        await until(lambda: value(db, "select state from pgqueue.workers") == "stopping")
        assert value(db, "select claims from pgqueue.job where id = %s", [second]) == 0
        go_on.set()


@pytest.mark.parametrize("kind", ["async", "sync"])
async def test_when_the_grace_is_over_jobs_are_given_back_uncounted(dsn, db, kind):
    """They are not to blame. A coroutine is stopped; a thread is left to itself."""
    begun, go_on, stopped = threading.Event(), threading.Event(), []

    @job
    async def waits_async():
        begun.set()
        try:
            await asyncio.sleep(60)
        finally:
            stopped.append(True)

    @job
    def waits_sync():
        begun.set()
        go_on.wait(20)

    id = enqueue(db, (waits_async if kind == "async" else waits_sync).job()).id
    worker = Worker(dsn, WorkerOptions(grace=0.1))
    running = asyncio.create_task(worker.run())
    await until(begun.is_set)
    worker.stop()
    await asyncio.wait_for(running, PATIENCE_SECONDS)
    go_on.set()

    given_back = row(db, "select state, attempt from pgqueue.jobs where id = %s", [id])
    assert given_back == ("ready", 0)
    assert attempts(db, id) == []
    assert stopped == ([True] if kind == "async" else [])


async def test_prefetched_jobs_go_back_at_once(dsn, db):
    """They wait in a buffer here while a free worker could run them: the grace is not for them."""
    begun, go_on = asyncio.Event(), asyncio.Event()

    @job
    async def quick():
        pass

    @job
    async def waits():
        begun.set()
        await go_on.wait()

    enqueue_many(db, [*(quick.job() for _ in range(2000)), waits.job(), *(quick.job() for _ in range(2000))])
    held = "select count(*) from pgqueue.job where worker is not null"
    async with working(dsn, queues={"default": 1}, poll=NEVER) as worker:
        await begun.wait()
        assert value(db, held) > 1
        worker.stop()
        await until(lambda: value(db, held) == 1)
        go_on.set()

    assert value(db, "select array_agg(distinct attempt) from pgqueue.job") == [0]
    assert value(db, "select count(*) from pgqueue.jobs where state not in ('completed', 'ready')") == 0


@pytest.mark.usefixtures("hasty")
async def test_it_ends_though_a_handler_ignores_its_cancellation(dsn, db, caplog):
    """Its job goes back all the same, and the log tells."""
    begun, ends = asyncio.Event(), asyncio.Event()

    @job
    async def ignores():
        begun.set()
        while not ends.is_set():
            try:
                await ends.wait()
            except asyncio.CancelledError:
                continue

    id = enqueue(db, ignores.job()).id
    worker = Worker(dsn, WorkerOptions(grace=0))
    running = asyncio.create_task(worker.run())
    await begun.wait()
    with caplog.at_level(logging.WARNING):
        worker.stop()
        await asyncio.wait_for(running, PATIENCE_SECONDS)

    assert row(db, "select state, attempt from pgqueue.jobs where id = %s", [id]) == ("ready", 0)
    ends.set()
    await until(lambda: asyncio.all_tasks() == {asyncio.current_task()})


async def test_no_task_is_left_behind(dsn, db):
    """An application that runs a worker inside its own loop gets it back clean, also with a job that was cut."""

    begun = asyncio.Event()

    @job
    async def waits():
        begun.set()
        await asyncio.sleep(60)

    id = enqueue(db, waits.job()).id
    async with working(dsn):
        await begun.wait()

    assert asyncio.all_tasks() == {asyncio.current_task()}
    await until(lambda: connections(db) == [])
    assert state(db, id) == "ready"


async def test_a_cancelled_run_ends_in_order(dsn, db):
    """asyncio's own way to stop: a TaskGroup of the application that fails elsewhere."""

    begun = asyncio.Event()

    @job
    async def waits():
        begun.set()
        await asyncio.sleep(60)

    id = enqueue(db, waits.job()).id
    running = asyncio.create_task(Worker(dsn, WorkerOptions(grace=0)).run())
    await begun.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(running, PATIENCE_SECONDS)

    assert row(db, "select state, attempt from pgqueue.jobs where id = %s", [id]) == ("ready", 0)
    assert value(db, "select state from pgqueue.workers") == "stopped"
