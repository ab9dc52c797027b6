"""Handlers: both kinds run, neither kind stops the other, and each is told what it runs."""

import asyncio
import functools
import threading
import time
from datetime import UTC, datetime, timedelta

import pytest
from psycopg.conninfo import make_conninfo

from pgqueue import Job, JobContext, enqueue, enqueue_many, job
from tests.sql.verbs import rescue, row, silent_for, state, value
from tests.worker.working import drain, states, until, working

pytestmark = pytest.mark.integration


async def test_async_and_sync_handlers_run_with_their_arguments(dsn, db):
    """Applications have both: one calls an HTTP API, the other an old library."""
    seen = []

    @job
    async def waits(order: int, *, note: str = "none"):
        await asyncio.sleep(0)
        seen.append((order, note))

    @job
    def blocks(order: int, at: datetime):
        seen.append((order, at))

    moment = datetime(2026, 1, 31, tzinfo=UTC)
    enqueue_many(db, [waits.job(1, note="by hand"), waits.job(2), blocks.job(3, moment)])

    await drain(dsn)

    assert sorted(seen, key=lambda one: one[0]) == [(1, "by hand"), (2, "none"), (3, moment)]
    assert states(db) == ["completed"] * 3


async def test_an_async_handler_may_have_a_decorator_that_is_not_async(dsn, db):
    """Many that log or measure are not; from outside the handler then looks like a sync one."""
    seen = []

    def logged(function):
        @functools.wraps(function)
        def outer(*args, **kwargs):
            return function(*args, **kwargs)

        return outer

    @job
    @logged
    async def waits(order: int):
        await asyncio.sleep(0)
        seen.append((order, threading.current_thread() is threading.main_thread()))

    enqueue(db, waits.job(1))

    await drain(dsn)

    assert seen == [(1, True)]
    assert states(db) == ["completed"]


async def test_a_sync_handler_that_blocks_does_not_stop_async_ones(dsn, db):
    """It has a thread of its own; the loop goes on."""
    go_on = threading.Event()

    @job
    def blocks():
        assert go_on.wait(20)

    @job
    async def quick():
        pass

    blocked = enqueue(db, blocks.job()).id
    async with working(dsn):
        await until(lambda: state(db, blocked) == "running")
        others = enqueue_many(db, [quick.job() for _ in range(20)])
        await until(lambda: all(state(db, other.id) == "completed" for other in others))
        assert state(db, blocked) == "running"
        go_on.set()
        await until(lambda: state(db, blocked) == "completed")


async def test_as_many_sync_handlers_run_at_once_as_there_are_slots(dsn, db):
    """Not as many as a thread pool of the loop happens to have: 30 slots mean 30."""
    together = threading.Barrier(30)

    @job
    def meets():
        together.wait(15)

    enqueue_many(db, [meets.job() for _ in range(30)])

    await drain(dsn, queues={"default": 30})

    assert set(states(db)) == {"completed"}


async def test_a_handler_that_blocks_the_loop_does_not_make_its_worker_look_dead(dsn, db, sessions):
    """A common mistake in async code. The steward beats from its own thread, so nobody takes the job away."""
    (operator,) = sessions(1)
    beats, rescued = [], []

    @job
    async def blocks_the_loop():
        last = value(operator, "select heartbeat_at from pgqueue.workers")
        deadline = time.monotonic() + 15
        while len(beats) < 2 and time.monotonic() < deadline:
            time.sleep(0.05)  # noqa: ASYNC251
            rescued.extend(rescue(operator))
            now = value(operator, "select heartbeat_at from pgqueue.workers")
            if now != last:
                beats.append(now)
                last = now

    enqueue(db, blocks_the_loop.job())

    await drain(dsn)

    assert len(beats) == 2
    assert rescued == []
    assert states(db) == ["completed"]
    assert value(db, "select max(attempt) from pgqueue.jobs") == 1


async def test_a_late_beat_alone_kills_nobody(dsn, db):
    """An overloaded machine: the lock says that the process is there."""
    go_on = asyncio.Event()

    @job
    async def waits():
        await go_on.wait()

    waiting = enqueue(db, waits.job()).id
    async with working(dsn):
        await until(lambda: state(db, waiting) == "running")
        silent_for(db, value(db, "select id from pgqueue.workers"), "20 seconds")
        assert rescue(db) == {}
        assert state(db, waiting) == "running"
        go_on.set()
        await until(lambda: state(db, waiting) == "completed")


async def test_a_handler_is_told_about_its_job(dsn, db):
    """To make its effects repeatable (id), to give up early (attempt, deadline), to say who did it (worker)."""
    told = []

    @job(max_attempts=4, timeout=60)
    async def asks(context: JobContext, number: int):
        told.append((context, number))

    @job
    def asks_too(context: JobContext):
        told.append((context, 0))

    first = enqueue(db, asks.job(7)).id
    second = enqueue(db, asks_too.job().options(queue="other")).id
    before = datetime.now(UTC)

    await drain(dsn, queues={"default": 2, "other": 2}, name="teller")

    (context, number), (other, _) = sorted(told, key=lambda one: one[0].id)
    on_record = row(db, "select run_at, created_at from pgqueue.jobs where id = %s", [first])
    assert number == 7
    assert (context.id, context.kind, context.queue, context.worker) == (first, "asks", "default", "teller")
    assert (context.attempt, context.max_attempts) == (1, 4)
    assert (context.run_at, context.created_at) == (on_record.run_at, on_record.created_at)
    assert timedelta(seconds=59) < context.deadline - before < timedelta(seconds=75)
    assert (other.id, other.kind, other.queue, other.deadline) == (second, "asks_too", "other", None)


async def test_its_moments_are_told_in_utc(dsn, db):
    """A report named by the day of `ctx.run_at` must not change its name with a setting of the database."""
    told = []

    @job
    async def asks(context: JobContext):
        told.extend([str(context.run_at), str(context.created_at)])

    enqueue(db, asks.job())

    await drain(make_conninfo(dsn, options="-c timezone=Asia/Tokyo"))

    on_record = row(db, "select run_at, created_at from pgqueue.jobs")
    assert told == [str(moment.astimezone(UTC)) for moment in on_record]


async def test_a_job_that_was_due_before_all_time_runs(dsn, db):
    """Who inserts jobs by hand may mean "at once" by it; no worker may stumble over the moment."""

    told = []

    @job(name="asks")
    async def asks(context: JobContext):
        told.append(context.run_at)

    db.execute("insert into pgqueue.job (kind, args, run_at) values ('asks', '{}', '-infinity')")

    await drain(make_conninfo(dsn, options="-c timezone=America/New_York"))

    assert [moment.year for moment in told] == [1]


async def test_a_job_under_a_former_name_of_its_handler_runs(dsn, db):
    """A function may be renamed while jobs wait under the old name."""
    seen = []

    @job(name="charge", aliases=["bill", "billing.bill"])
    async def charge(order: int):
        seen.append(order)

    enqueue_many(db, [Job("bill", {"order": 1}), Job("billing.bill", {"order": 2}), charge.job(3)])

    await drain(dsn)

    assert sorted(seen) == [1, 2, 3]
    assert states(db) == ["completed"] * 3


async def test_a_handler_may_enqueue_with_its_own_connection(dsn, db):
    """Steps of a larger work: each hands on to the next."""

    @job
    def step(left: int):
        if left:
            enqueue(db, step.job(left - 1))

    enqueue(db, step.job(3))

    await drain(dsn)

    assert states(db) == ["completed"] * 4
