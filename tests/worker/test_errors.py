"""Whatever a handler raises ends its own attempt, with an error that people can read, and nothing else."""

import asyncio
import logging

import pytest

from pgqueue import Batch, JobContext, enqueue, enqueue_many, job, middleware
from pgqueue.errors import InvalidJob, UnknownKind
from tests.sql.verbs import row, rows, value
from tests.worker.working import attempts, drain, states, until_all, working

pytestmark = pytest.mark.integration


class Mute(Exception):
    """One whose message cannot be read."""

    def __str__(self):
        raise RuntimeError("no")


class Rude(Exception):
    """One that even tries to end the process when it is printed."""

    def __str__(self):
        raise SystemExit(3)


class Odd(BaseException):
    """Outside of Exception, as libraries that kill threads have them."""


RAISED = {
    "plain": (ValueError("no such order"), "ValueError: no such order"),
    "without a message": (ValueError(), "ValueError"),
    "of several lines": (ValueError("one\n  two"), "ValueError: one two"),
    "mute": (Mute(), "Mute: (its message cannot be read: RuntimeError)"),
    "rude": (Rude(), "Rude: (its message cannot be read: SystemExit)"),
    "outside of Exception": (Odd("odd"), "Odd: odd"),
    "exit": (SystemExit(3), "SystemExit: 3"),
    "interrupt": (KeyboardInterrupt(), "KeyboardInterrupt"),
    "cancelled": (asyncio.CancelledError(), "CancelledError: the handler was cancelled from inside"),
    "group": (
        BaseExceptionGroup("two", [ValueError("a"), SystemExit(1)]),
        "BaseExceptionGroup: two (2 sub-exceptions)",
    ),
    "with NUL": (ValueError("a\0b"), "ValueError: a\\0b"),
    "with a lone surrogate": (ValueError("a\ud800b"), "ValueError: a\\ud800b"),
    "our own": (InvalidJob("queue name 'a b' has a space"), "InvalidJob: queue name 'a b' has a space"),
    "our own, of a lookup": (UnknownKind("no such"), "UnknownKind: no such"),
}


@pytest.mark.parametrize("kind", ["async", "sync"])
async def test_whatever_a_handler_raises_fails_its_job_alone(dsn, db, kind):
    """SystemExit in a handler must not end the worker, nor an error without a message break its report."""

    @job(max_attempts=1)
    async def raises_async(name: str):
        raise RAISED[name][0]

    @job(max_attempts=1)
    def raises_sync(name: str):
        raise RAISED[name][0]

    @job
    async def harmless():
        pass

    raises = raises_async if kind == "async" else raises_sync
    ids = [enqueue(db, raises.job(name)).id for name in RAISED]
    harmless_ids = [one.id for one in enqueue_many(db, [harmless.job() for _ in range(10)])]

    await drain(dsn, queues={"default": 3})

    recorded = dict(zip(RAISED, (row(db, "select * from pgqueue.jobs where id = %s", [id]) for id in ids), strict=True))
    assert {name: found.error for name, found in recorded.items()} == {name: said for name, (_, said) in RAISED.items()}
    assert {found.state for found in recorded.values()} == {"failed"}
    assert states(db)[-10:] == ["completed"] * len(harmless_ids)


@pytest.mark.parametrize("kind", ["async", "sync"])
@pytest.mark.parametrize("signal", [StopIteration, GeneratorExit])
async def test_what_python_itself_ends_coroutines_with_is_an_error_too(dsn, db, kind, signal):
    """They cannot pass through a coroutine or a future as they are; the job must fail all the same."""

    @job(max_attempts=1)
    async def raises_async():
        raise signal

    @job(max_attempts=1)
    def raises_sync():
        raise signal

    id = enqueue(db, (raises_async if kind == "async" else raises_sync).job()).id

    await drain(dsn)

    ((_, error),) = attempts(db, id)
    assert signal.__name__ in error


async def test_an_attempt_that_raised_is_recorded_with_its_traceback(dsn, db):
    """Whoever is on call reads it in the database: where, which attempt, by which worker, when."""

    @job(max_attempts=1)
    async def breaks():
        return 1 / 0

    id = enqueue(db, breaks.job()).id

    await drain(dsn)

    (attempt,) = rows(db, "select * from pgqueue.attempt where job = %s", [id])
    assert (attempt.attempt, attempt.error) == (1, "ZeroDivisionError: division by zero")
    assert "return 1 / 0" in attempt.traceback
    assert attempt.worker == value(db, "select id from pgqueue.workers")
    assert attempt.started_at <= attempt.finished_at


@pytest.mark.parametrize("way", ["async", "sync", "within middleware", "transactional", "of a batch"])
async def test_a_traceback_starts_where_the_handler_does(dsn, db, way):
    """What the worker did before is the same for every job and of no use to whoever looks for a bug."""
    if way == "within middleware":

        @middleware
        async def around(ctx: JobContext):
            yield

    def breaks():
        raise ValueError("broken")

    async def breaks_async():
        breaks()

    def breaks_batch(items: Batch[int]):
        breaks()

    options = {"max_attempts": 1}
    match way:
        case "sync":
            enqueue(db, job(**options)(breaks).job())
        case "of a batch":
            enqueue(db, job(batch=2, **options)(breaks_batch).job(1))
        case _:
            enqueue(db, job(transactional=way == "transactional", **options)(breaks_async).job())

    await drain(dsn)

    traceback = value(db, "select traceback from pgqueue.attempt").splitlines()
    assert traceback[0].startswith("Traceback")
    assert traceback[1].endswith(("in breaks", "in breaks_async", "in breaks_batch"))
    assert traceback[-1].startswith("ValueError: ")


async def test_the_traceback_of_an_error_that_is_not_the_handlers_keeps_all(dsn, db):
    """Else it would be empty, or begin in some library: nobody could tell that the call itself is to blame."""

    @job(max_attempts=1)
    def takes_none():
        pass

    takes_none.function = len  # called without what it needs, as only a bug of ours could
    enqueue(db, takes_none.job())

    await drain(dsn)

    assert "pgqueue/worker/" in value(db, "select traceback from pgqueue.attempt")


async def test_an_error_of_ours_that_a_handler_raises_is_an_error_like_any_other(dsn, db):
    """A handler that enqueues wrongly has a bug: it is retried and its traceback kept. Only stored arguments that do
    not fit are final."""

    @job
    async def enqueues_wrongly():
        raise InvalidJob("priority 12 is out of range")

    id = enqueue(db, enqueues_wrongly.job()).id

    await drain(dsn)

    assert states(db) == ["scheduled"]
    assert "enqueues_wrongly" in value(db, "select traceback from pgqueue.attempt where job = %s", [id])


async def test_a_huge_error_is_cut(dsn, db):
    """An error may quote a whole document; thousands of retries of it would fill the disk."""

    @job(max_attempts=1)
    async def shouts():
        raise ValueError("x" * 5_000_000)

    enqueue(db, shouts.job())

    await drain(dsn)

    (attempt,) = rows(db, "select error, traceback from pgqueue.attempt")
    assert attempt.error.startswith("ValueError: xxx")
    assert len(attempt.error) <= 2_000
    assert len(attempt.traceback) <= 20_000


async def test_a_handler_that_cancels_its_own_task_costs_no_slot(dsn, db):
    """Its slot must not end with it: after as many such jobs as there are slots the worker would be deaf."""

    @job(max_attempts=1)
    async def cancels_itself(waits: bool):
        asyncio.current_task().cancel()
        if waits:
            await asyncio.sleep(0)

    @job
    async def harmless():
        pass

    enqueue_many(db, [cancels_itself.job(waits) for waits in (True, False) * 3])
    async with working(dsn, queues={"default": 2}):
        await until_all(db, "failed", 3)
        enqueue_many(db, [harmless.job() for _ in range(10)])
        await until_all(db, "completed", 13)


async def test_the_worker_logs_no_error_of_its_own_for_them(dsn, db, caplog):
    """A line for each failed attempt, and none about broken tasks or futures that nobody read."""

    @job(max_attempts=1)
    async def exits():
        raise SystemExit(1)

    enqueue(db, exits.job())
    with caplog.at_level(logging.INFO):
        await drain(dsn)

    errors = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert [record.getMessage() for record in errors] == ["job failed for good"]
