"""Retry, Snooze, Cancel, Discard: a handler says what is to become of its job, raised or returned."""

import asyncio
import logging

import pytest

from pgqueue import Cancel, Discard, Retry, Snooze, enqueue, job
from tests.sql.verbs import row, rows, value
from tests.worker.working import attempts, drain, states, until, working

pytestmark = pytest.mark.integration

FORMS = ["raise async", "return async", "raise sync", "return sync"]


def handler(form, said, **options):
    """A handler that says it, in one of the FORMS."""

    def say():
        if form.startswith("raise"):
            raise said
        return said

    async def say_async():
        return say()

    return job(name="says", **options)(say if form.endswith("sync") and "async" not in form else say_async)


def pause(db):
    return value(db, "select extract(epoch from run_at - clock_timestamp()) from pgqueue.job")


@pytest.mark.parametrize("form", FORMS)
async def test_snooze_starts_the_job_later_and_counts_no_attempt(dsn, db, form):
    """Somebody else is not ready yet: waiting is no failure, however often."""
    enqueue(db, handler(form, Snooze(1000, "the file is not there yet"), max_attempts=1).job())

    for _ in range(3):
        db.execute("update pgqueue.job set run_at = clock_timestamp()")
        await drain(dsn)

    waiting = row(db, "select state, attempt, error from pgqueue.jobs")
    assert waiting == ("scheduled", 0, "Snooze: the file is not there yet")
    assert 900 < pause(db) <= 1000
    assert value(db, "select count(*) from pgqueue.attempt") == 0


@pytest.mark.parametrize("form", FORMS)
async def test_retry_after_a_delay_counts_the_attempt(dsn, db, form):
    """The handler knows better than the backoff when to come back; it failed all the same."""
    id = enqueue(db, handler(form, Retry(delay=1000, reason="locked"), backoff=5).job()).id

    await drain(dsn)

    assert (states(db), attempts(db, id)) == (["scheduled"], [(1, "Retry: locked")])
    assert 900 < pause(db) <= 1000


@pytest.mark.parametrize("form", FORMS)
async def test_retry_at_the_last_attempt_is_final(dsn, db, form):
    """Attempts used up are used up."""
    enqueue(db, handler(form, Retry(0, "locked"), max_attempts=2).job())

    await drain(dsn)

    assert row(db, "select state, attempt, error from pgqueue.jobs") == ("failed", 2, "Retry: locked")


async def test_retry_without_a_delay_pauses_as_the_backoff_says(dsn, db):
    """A bare `raise Retry`."""

    @job(backoff=1000)
    async def says():
        raise Retry

    id = enqueue(db, says.job()).id

    await drain(dsn)

    assert 800 < pause(db) <= 1000
    assert attempts(db, id) == [(1, "Retry")]


@pytest.mark.parametrize("form", FORMS)
async def test_cancel_ends_the_job_as_cancelled(dsn, db, form):
    """There is nothing left to do, and nobody has to look at it."""
    enqueue(db, handler(form, Cancel("order withdrawn")).job())

    await drain(dsn)

    assert row(db, "select state, attempt, error from pgqueue.jobs") == ("cancelled", 1, "order withdrawn")
    assert value(db, "select count(*) from pgqueue.attempt") == 0


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("said", "error"), [(Discard("no such account"), "Discard: no such account"), (Discard, "Discard")]
)
async def test_discard_is_a_dead_letter_at_once(dsn, db, form, said, error):
    """It will never succeed: no attempts are wasted, and somebody looks at it. The bare class does, too."""
    id = enqueue(db, handler(form, said, max_attempts=20).job()).id

    await drain(dsn)

    assert row(db, "select state, attempt, error from pgqueue.jobs") == ("failed", 1, error)
    assert attempts(db, id) == [(1, error)]


async def test_what_it_was_raised_from_stands_in_for_a_reason(dsn, db):
    """`except …: raise Discard` says what happened without saying it twice; the traceback has all of it."""

    @job
    async def says():
        try:
            int("x")
        except ValueError as error:
            raise Discard from error

    enqueue(db, says.job())

    await drain(dsn)

    (noted,) = rows(db, "select * from pgqueue.attempt")
    assert noted.error == "Discard: ValueError: invalid literal for int() with base 10: 'x'"
    assert 'int("x")' in noted.traceback


async def test_a_task_group_does_not_hide_it(dsn, db):
    """asyncio wraps what one of its tasks raised into a group."""

    @job
    async def says():
        async with asyncio.TaskGroup() as group:
            group.create_task(asyncio.sleep(60))
            group.create_task(later())

    async def later():
        raise Snooze(1000, "busy")

    enqueue(db, says.job())

    await drain(dsn)

    assert row(db, "select state, error from pgqueue.jobs") == ("scheduled", "Snooze: busy")


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        (lambda: Snooze(-1), "ConfigurationError: delay of Snooze: -1 is no length of time"),
        (lambda: Snooze("soon"), "ConfigurationError: delay of Snooze: 'soon' is no length of time"),
        (lambda: Snooze(float("nan")), "ConfigurationError: delay of Snooze: nan is no length of time"),
        (lambda: Snooze(None), "ConfigurationError: delay of Snooze: None is no length of time"),
        (lambda: Retry(delay="x"), "ConfigurationError: delay of Retry: 'x' is no length of time"),
        (lambda: Retry(reason=5), "ConfigurationError: reason 5 of Retry is no text"),
        (lambda: Cancel(""), "ConfigurationError: Cancel needs a reason"),
        (lambda: Cancel(), "TypeError: Cancel.__init__() missing 1 required positional argument: 'reason'"),
        (lambda: Snooze, "TypeError: Snooze.__init__() missing 1 required positional argument: 'delay'"),
        (lambda: Cancel, "TypeError: Cancel.__init__() missing 1 required positional argument: 'reason'"),
    ],
)
@pytest.mark.parametrize("returned", [True, False])
async def test_what_cannot_be_meant_is_a_failure_that_says_so(dsn, db, wrong, error, returned):
    """A bug in the handler is recorded as one: the job is neither lost nor snoozed for ever."""

    @job
    async def says():
        if returned:
            return wrong()
        raise wrong()

    id = enqueue(db, says.job()).id

    await drain(dsn)

    ((number, told),) = attempts(db, id)
    assert (number, states(db)) == (1, ["scheduled"])
    assert told.startswith(error)


@pytest.mark.parametrize("said", [Snooze(1000, "a\0b"), Cancel("a\0b"), Discard("a\0b"), Retry(1000, "a\0b\ud800")])
async def test_a_reason_that_postgres_cannot_hold_is_spelled_out(dsn, db, said):
    """It must not take the outcome along."""
    enqueue(db, handler("raise async", said).job())

    await drain(dsn)

    assert "a\\0b" in value(db, "select error from pgqueue.jobs")


async def test_the_log_tells_of_each(dsn, db, caplog):
    """One line an outcome, with its reason."""
    for index, said in enumerate((Snooze(1000, "busy"), Cancel("withdrawn"))):

        @job(name=f"says_{index}")
        async def says(said=said):
            raise said

        enqueue(db, says.job())
    with caplog.at_level(logging.INFO):
        await drain(dsn)

    told = {record.getMessage(): record.fields for record in caplog.records if record.name == "pgqueue.job"}
    assert (told["job snoozed"]["delay"], told["job snoozed"]["reason"]) == (1000, "Snooze: busy")
    assert told["job cancelled"]["reason"] == "withdrawn"


async def test_a_snoozed_job_starts_when_its_time_comes(dsn, db):
    """Nobody has to wake it."""
    starts = []

    @job
    async def says():
        starts.append(True)
        if len(starts) < 3:
            raise Snooze(0.05)

    enqueue(db, says.job())
    async with working(dsn, poll=1000.0):
        await until(lambda: states(db) == ["completed"])

    assert len(starts) == 3
    assert value(db, "select attempt from pgqueue.jobs") == 1
