"""Cancel: whoever runs the job hears of it at once, and no other job does."""

import asyncio
import threading

import pytest

from pgqueue import JobContext, cancel, enqueue, enqueue_many, job
from pgqueue.errors import AttemptCancelled
from tests.sql.verbs import row, state, value
from tests.worker.working import NEVER, attempts, drain, states, until, working

pytestmark = pytest.mark.integration


def error(db, id):
    return value(db, "select error from pgqueue.jobs where id = %s", [id])


async def test_a_running_coroutine_is_cancelled_and_cleans_up(dsn, db):
    """It gets CancelledError, as from any other: files are closed, locks let go. It is not tried again."""
    started, cleaned_up = asyncio.Event(), []

    @job
    async def sends_mails(ctx: JobContext):
        started.set()
        try:
            await asyncio.sleep(60)
        finally:
            cleaned_up.append(ctx.cancelled)

    id = enqueue(db, sends_mails.job()).id
    async with working(dsn, poll=NEVER):
        await started.wait()
        assert cancel(db, id, "the customer left") == "asked"
        await until(lambda: state(db, id) == "cancelled")

    assert cleaned_up == [True]
    assert error(db, id) == "the customer left"
    assert value(db, "select attempt from pgqueue.jobs where id = %s", [id]) == 1


async def test_a_cancel_without_a_reason_reaches_it_too(dsn, db):
    """In a hurry."""
    started = asyncio.Event()

    @job
    async def sends_mails():
        started.set()
        await asyncio.sleep(60)

    id = enqueue(db, sends_mails.job()).id
    async with working(dsn):
        await started.wait()
        cancel(db, id)
        await until(lambda: state(db, id) == "cancelled")


async def test_a_thread_sees_it_and_its_late_result_is_dropped(dsn, db):
    """Nothing can stop it from outside. Its slot is free at once."""
    started, left, seen = threading.Event(), threading.Event(), []

    @job
    def counts(ctx: JobContext):
        seen.append(ctx.cancelled)
        started.set()
        try:
            while True:
                ctx.raise_if_cancelled()
                threading.Event().wait(0.001)
        except AttemptCancelled:
            seen.append(ctx.cancelled)
            left.set()
        return "too late"

    @job
    def quick():
        pass

    id = enqueue(db, counts.job()).id
    async with working(dsn, queues={"default": 1}):
        await until(started.is_set)
        cancel(db, id, "enough")
        await until(lambda: state(db, id) == "cancelled")
        await until(left.is_set)
        following = enqueue(db, quick.job()).id
        await until(lambda: state(db, following) == "completed")

    assert seen == [False, True]
    assert row(db, "select state, error, result from pgqueue.jobs where id = %s", [id]) == ("cancelled", "enough", None)


async def test_it_is_heard_where_no_notification_arrives(dsn, db):
    """Through a connection pooler, or while the listening connection is lost: the worker asks about what runs."""
    started = asyncio.Event()

    @job
    async def sends_mails():
        started.set()
        await asyncio.sleep(60)

    id = enqueue(db, sends_mails.job()).id
    running = asyncio.create_task(drain(dsn))  # which has no listening connection
    await started.wait()
    cancel(db, id, "the customer left")
    await running

    assert (states(db), error(db, id)) == (["cancelled"], "the customer left")


async def test_a_job_that_waits_in_the_worker_for_a_slot_never_starts(dsn, db):
    """It is claimed, so for the database it runs; nobody has begun."""
    ran, go_on = [], asyncio.Event()

    @job
    async def is_quick(number: int):
        ran.append(number)
        if number == 300:
            await go_on.wait()

    ids = [enqueued.id for enqueued in enqueue_many(db, [is_quick.job(number) for number in range(400)])]
    async with working(dsn, queues={"default": 1}):
        await until(lambda: 300 in ran)
        waiting = value(db, "select max(id) from pgqueue.job where worker is not null")
        cancel(db, waiting, "not needed")
        await until(lambda: state(db, waiting) == "cancelled")
        go_on.set()
        await until(lambda: value(db, "select count(*) from pgqueue.job") == 0)

    assert waiting > ids[300]
    assert sorted(ran) == [number for number, id in enumerate(ids) if id != waiting]
    assert error(db, waiting) == "not needed"


async def test_a_cancel_never_eats_a_later_job(dsn, db):
    """Each is cancelled about when it ends; the next in its slot must not be hit."""

    @job
    async def ends_soon():
        await asyncio.sleep(0.002)

    @job
    async def runs_on():
        await asyncio.sleep(0.003)

    async with working(dsn, queues={"default": 1}):
        for _ in range(60):
            first, second = enqueue_many(db, [ends_soon.job(), runs_on.job()])
            await until(lambda id=first.id: value(db, "select worker from pgqueue.jobs where id = %s", [id]))
            try:
                cancel(db, first.id)
            except Exception as refused:
                assert "is completed" in str(refused)  # noqa: PT017
            await until(lambda id=second.id: state(db, id) == "completed")

    assert value(db, "select count(*) from pgqueue.jobs where kind = 'runs_on' and state = 'completed'") == 60
    assert set(states(db)) <= {"completed", "cancelled"}


async def test_a_handler_that_takes_no_notice_and_returns_has_completed(dsn, db):
    """Its work is done; to call it cancelled would be a lie."""
    started = asyncio.Event()

    @job
    async def finishes_anyway():
        started.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            return "done all the same"

    id = enqueue(db, finishes_anyway.job()).id
    async with working(dsn):
        await started.wait()
        cancel(db, id)
        await until(lambda: state(db, id) == "completed")

    assert value(db, "select result from pgqueue.jobs where id = %s", [id]) == "done all the same"


async def test_an_error_while_it_cleans_up_does_not_bring_it_back(dsn, db):
    """It was cancelled; the error stays on record."""
    started = asyncio.Event()

    @job
    async def breaks_while_cleaning_up():
        started.set()
        try:
            await asyncio.sleep(60)
        finally:
            raise ValueError("file is gone")

    id = enqueue(db, breaks_while_cleaning_up.job()).id
    async with working(dsn):
        await started.wait()
        cancel(db, id, "enough")
        await until(lambda: state(db, id) == "cancelled")

    assert attempts(db, id) == [(1, "ValueError: file is gone")]
    assert error(db, id) == "enough"


async def test_what_else_is_notified_on_the_channel_is_ignored(dsn, db):
    """Anybody may notify."""
    started, go_on = asyncio.Event(), asyncio.Event()

    @job
    async def waits():
        started.set()
        await go_on.wait()

    id = enqueue(db, waits.job()).id
    async with working(dsn, poll=NEVER):
        await started.wait()
        claims, worker = row(db, "select claims, worker from pgqueue.job where id = %s", [id])
        for payload in (
            "cancel:",
            "cancel:::::",
            "cancel:x:y:z:",
            "cancel",
            f"cancel:{worker}:{id}:{claims + 1}:",
            f"cancel:{worker + 1}:{id}:{claims}:",
            f"cancel:{worker}:{id + 1}:{claims}:",
        ):
            db.execute("select pg_notify('pgqueue', %s)", [payload])
        other = enqueue(db, waits.job()).id
        await until(lambda: value(db, "select worker from pgqueue.jobs where id = %s", [other]))
        go_on.set()
        await until(lambda: states(db) == ["completed"] * 2)


async def test_many_abandoned_threads_are_told_of_and_stop_no_other(dsn, db, caplog):
    """They still cost memory, and whoever wrote the handler should hear of it."""
    go_on = threading.Event()

    @job(timeout=0.02, max_attempts=1)
    def hangs():
        go_on.wait(60)

    @job
    def quick():
        pass

    enqueue_many(db, [hangs.job() for _ in range(12)])
    enqueue_many(db, [quick.job() for _ in range(12)])
    try:
        await drain(dsn, queues={"default": 2})
    finally:
        go_on.set()

    assert sorted(states(db)) == ["completed"] * 12 + ["failed"] * 12
    warnings = [record.getMessage() for record in caplog.records if "threads run handlers" in record.getMessage()]
    assert len(warnings) == 1
    assert warnings[0].startswith("10 threads")
