"""Timeouts: an attempt that runs too long is stopped, and no other is."""

import asyncio
import random
import threading
import time
from datetime import timedelta

import pytest

from pgqueue import Backoff, enqueue, enqueue_many, job
from tests.sql.verbs import row, state, value
from tests.worker.working import attempts, drain, states, until, working

pytestmark = pytest.mark.integration


async def test_an_async_handler_is_stopped_and_cleans_up(dsn, db):
    """It gets a cancellation, so its finally blocks run: files are closed, locks let go."""
    cleaned_up = []

    @job(timeout=0.05, max_attempts=1)
    async def takes_too_long():
        try:
            await asyncio.sleep(60)
        finally:
            cleaned_up.append(True)

    id = enqueue(db, takes_too_long.job()).id

    await drain(dsn)

    assert cleaned_up == [True]
    assert attempts(db, id) == [(1, "JobTimeout: stopped after 0.05 s, its timeout")]
    assert states(db) == ["failed"]


async def test_a_timeout_is_an_attempt_like_any_other(dsn, db):
    """A slow other side is often fast a moment later."""
    seen = []

    @job(timeout=0.05, backoff=Backoff(base=0))
    async def is_slow_once():
        seen.append(True)
        if len(seen) == 1:
            await asyncio.sleep(60)

    id = enqueue(db, is_slow_once.job()).id

    await drain(dsn)

    assert len(attempts(db, id)) == 1
    assert states(db) == ["completed"]


async def test_a_sync_handler_is_abandoned_and_its_slot_is_free(dsn, db):
    """Nothing can stop a thread. The next job must not wait for it; its late result changes nothing."""
    go_on, came_late = threading.Event(), threading.Event()

    @job(timeout=0.5, max_attempts=1)  # time for a thread to begin: else there is nothing to abandon
    def hangs():
        go_on.wait(20)
        came_late.set()
        return "too late"

    @job
    def quick():
        pass

    hanging = enqueue(db, hangs.job()).id
    async with working(dsn, queues={"default": 1}):
        await until(lambda: state(db, hanging) == "failed")
        following = enqueue(db, quick.job()).id
        await until(lambda: state(db, following) == "completed")
        go_on.set()
        await until(came_late.is_set)
        last = enqueue(db, quick.job()).id
        await until(lambda: state(db, last) == "completed")

    dead = row(db, "select state, result, error from pgqueue.jobs where id = %s", [hanging])
    assert dead == ("failed", None, "JobTimeout: stopped after 0.5 s, its timeout")


@pytest.mark.parametrize(("handlers", "jobs"), [(60, 0.05), (0.05, 60), (None, 0.05)])
async def test_the_jobs_own_timeout_overrides_the_handlers(dsn, db, handlers, jobs):
    """The caller may know better how long this one takes; both ways."""

    @job(timeout=handlers, max_attempts=1)
    async def takes_a_while():
        await asyncio.sleep(0.3)

    enqueue(db, takes_a_while.job().options(timeout=jobs))

    await drain(dsn)

    assert states(db) == ["failed" if jobs < 1 else "completed"]


async def test_a_handler_that_takes_no_notice_of_its_timeout_and_returns_has_completed(dsn, db):
    """Its work is done; to do it again would be worse than to believe it."""

    @job(timeout=timedelta(seconds=0.05))
    async def finishes_anyway():
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            await asyncio.sleep(0.05)
            return "done all the same"

    id = enqueue(db, finishes_anyway.job()).id

    await drain(dsn)

    assert row(db, "select state, result from pgqueue.jobs where id = %s", [id]) == ("completed", "done all the same")
    assert attempts(db, id) == []


async def test_an_error_while_it_cleans_up_is_what_is_reported(dsn, db):
    """It says more than the timeout, which its traceback names as well."""

    @job(timeout=0.05, max_attempts=1)
    async def breaks_while_cleaning_up():
        try:
            await asyncio.sleep(60)
        finally:
            raise ValueError("file is gone")

    id = enqueue(db, breaks_while_cleaning_up.job()).id

    await drain(dsn)

    assert attempts(db, id) == [(1, "ValueError: file is gone")]


async def test_a_timeout_of_the_handlers_own_is_its_own_business(dsn, db):
    """asyncio.timeout counts cancellations: ours must not be taken for its, nor its for ours."""

    @job(timeout=60, max_attempts=1)
    async def waits_for_others(number: int):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await asyncio.sleep(60)
        return asyncio.current_task().cancelling()

    @job(timeout=0.02, max_attempts=1)
    async def takes_too_long():
        await asyncio.sleep(60)

    for number in range(5):
        enqueue_many(db, [takes_too_long.job(), waits_for_others.job(number)])

    await drain(dsn, queues={"default": 1})

    assert states(db) == ["failed", "completed"] * 5
    assert value(db, "select array_agg(distinct result) from pgqueue.jobs where state = 'completed'") == [0]


@pytest.mark.parametrize("kind", ["async", "sync"])
async def test_the_deadline_of_one_job_never_hits_the_next_in_its_slot(dsn, db, kind):
    """Many jobs that end right around their deadline, each followed by one without any."""
    limit, chance = 0.01, random.Random(1)

    @job(timeout=limit, max_attempts=1)
    async def ends_about_then_async(seconds: float):
        await asyncio.sleep(seconds)

    @job(timeout=limit, max_attempts=1)
    def ends_about_then_sync(seconds: float):
        time.sleep(seconds)

    @job(max_attempts=1)
    async def has_time():
        await asyncio.sleep(0.003)

    ends_about_then = ends_about_then_async if kind == "async" else ends_about_then_sync
    for _ in range(150):
        enqueue_many(db, [ends_about_then.job(limit * chance.uniform(0.6, 1.2)), has_time.job()])

    await drain(dsn, queues={"default": 4})

    outcomes = dict(db.execute("select kind || ' ' || state, count(*) from pgqueue.jobs group by 1").fetchall())
    assert outcomes.pop("has_time completed") == 150
    assert set(outcomes) <= {f"{ends_about_then.name} {ended}" for ended in ("completed", "failed")}
    errors = value(db, "select array_agg(distinct error) from pgqueue.attempt")
    assert errors in (None, ["JobTimeout: stopped after 0.01 s, its timeout"])
