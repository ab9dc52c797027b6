"""on_failed: a hook that runs once when a job has become a dead letter."""

import asyncio
import logging

import pytest

from pgqueue import Cancel, Discard, Failure, Job, JobContext, Task, enqueue, job
from pgqueue.errors import ConfigurationError
from tests.sql.verbs import row, rows, state, value, values
from tests.worker.working import drain, states, until, working

pytestmark = pytest.mark.integration


def failing(**options) -> Task:
    @job(name="charge", backoff=0, **options)
    async def charge(order: int, wish: str = "fail"):
        if wish == "cancel":
            raise Cancel("withdrawn")
        if wish == "discard":
            raise Discard("no such account")
        if wish == "fail":
            raise ValueError(f"order {order}")

    return charge


@pytest.mark.parametrize("form", ["function", "async function", "with context", "task", "task with context"])
async def test_the_hook_runs_once_after_the_last_attempt(dsn, db, form):
    """With all that is known of the failure; whatever shape the hook has."""
    told: list[Failure] = []

    def function(failure):
        told.append(failure)

    async def async_function(any_name: Failure):
        told.append(any_name)

    def with_context(ctx: JobContext, failure: Failure):
        assert (ctx.kind, ctx.max_attempts) == ("charge:on_failed", 1)
        told.append(failure)

    @job
    async def notify(failure: Failure):
        told.append(failure)

    @job
    def notify_with_context(ctx: JobContext, failure: Failure):
        told.append(failure)

    hooks = dict(
        zip(
            ["function", "async function", "with context", "task", "task with context"],
            [function, async_function, with_context, notify, notify_with_context],
            strict=True,
        )
    )
    id = enqueue(db, failing(max_attempts=3, on_failed=hooks[form]).job(7)).id

    await drain(dsn)

    (failure,) = told
    dead = row(db, "select * from pgqueue.jobs where id = %s", [id])
    assert (failure.id, failure.kind, failure.queue, failure.args) == (id, "charge", "default", {"order": 7})
    assert (failure.error, failure.attempt, failure.max_attempts) == ("ValueError: order 7", 3, 3)
    assert (failure.created_at, failure.failed_at) == (dead.created_at, dead.finished_at)
    assert 'raise ValueError(f"order {order}")' in failure.traceback
    assert failure.fingerprint == value(db, "select distinct fingerprint from pgqueue.attempt")
    assert rows(db, "select kind, state from pgqueue.jobs order by id") == [
        ("charge", "failed"),
        ("charge:on_failed", "completed"),
    ]


@pytest.mark.parametrize(("wish", "hooked"), [("succeed", False), ("cancel", False), ("discard", True)])
async def test_only_a_dead_letter_has_a_hook(dsn, db, wish, hooked):
    """A job that was cancelled is nothing to be told of; one that was discarded is."""
    told = []
    enqueue(db, failing(on_failed=told.append).job(7, wish))

    await drain(dsn)

    assert bool(told) is hooked


async def test_arguments_that_do_not_fit_are_told_to_the_hook(dsn, db):
    """The handler never ran; somebody has to know."""
    told = []
    failing(on_failed=lambda failure: told.append(failure.error))
    enqueue(db, Job("charge", {"order": "not a number"}))

    await drain(dsn)

    assert told[0].startswith("InvalidJob: stored arguments do not fit charge")


async def test_an_error_in_the_hook_is_recorded_and_the_job_keeps_its_own(dsn, db):
    """The hook is a job of its own: it fails, once, and nothing is lost."""
    ran = []

    def breaks(failure):
        ran.append(failure.id)
        raise ConnectionError("mail server is away")

    id = enqueue(db, failing(max_attempts=1, on_failed=breaks).job(7)).id

    await drain(dsn)

    assert ran == [id]
    assert rows(db, "select kind, state, error from pgqueue.jobs order by id") == [
        ("charge", "failed", "ValueError: order 7"),
        ("charge:on_failed", "failed", "ConnectionError: mail server is away"),
    ]
    assert len(values(db, "select job from pgqueue.attempt")) == 2


async def test_a_hook_has_a_timeout_of_its_own(dsn, db):
    """One that hangs must not hold a slot for ever; the job's own timeout has nothing to do with it."""

    @job(timeout=0.05, max_attempts=20)
    async def notify(failure: Failure):
        await asyncio.sleep(60)

    enqueue(db, failing(max_attempts=1, timeout=1000, on_failed=notify).job(7))

    await drain(dsn)

    assert states(db) == ["failed", "failed"]
    assert value(db, "select error from pgqueue.jobs where kind = 'charge:on_failed'").startswith("JobTimeout")


async def test_several_kinds_may_share_a_hook_and_a_former_name_has_it_too(dsn, db):
    """Most applications have one way to tell their people."""
    told = []

    @job
    async def notify(failure: Failure):
        told.append(failure.kind)

    @job(on_failed=notify, max_attempts=1, aliases=["old_refund"])
    async def refund():
        raise ValueError

    enqueue(db, failing(max_attempts=1, on_failed=notify).job(7))
    enqueue(db, refund.job())
    enqueue(db, Job("old_refund", {}, max_attempts=1))

    await drain(dsn)

    assert sorted(told) == ["charge", "old_refund", "refund"]


async def test_a_hook_that_its_worker_did_not_come_to_runs_at_the_next(dsn, db):
    """It is a row, written with the outcome: the worker may stop or die at once."""
    told = []
    enqueue(db, failing(max_attempts=1, on_failed=told.append).job(7))

    await drain(dsn, max_jobs=1)
    assert (told, states(db)) == ([], ["failed", "ready"])
    await drain(dsn)

    assert len(told) == 1


async def test_a_job_that_was_brought_back_and_fails_again_has_its_hook_again(dsn, db):
    """It died twice."""
    told = []
    id = enqueue(db, failing(max_attempts=1, on_failed=told.append).job(7)).id
    async with working(dsn):
        await until(lambda: len(told) == 1 and state(db, id) == "failed")
        db.execute("select pgqueue.retry(%s)", [id])
        await until(lambda: len(told) == 2)


def test_a_task_that_takes_something_else_is_no_hook():
    """It would fail when it is needed."""

    @job
    async def notify(message: str): ...

    with pytest.raises(ConfigurationError, match=r"notify\(message.* must take one argument, failure: Failure"):
        failing(on_failed=notify)


async def test_the_log_of_a_hook_names_it(dsn, db, caplog):
    """Its lines are told from those of the job."""
    enqueue(db, failing(max_attempts=1, on_failed=lambda failure: None).job(7))
    with caplog.at_level(logging.INFO):
        await drain(dsn)

    told = [record.fields["kind"] for record in caplog.records if record.getMessage() == "job completed"]
    assert told == ["charge:on_failed"]
