"""Retries: a failed attempt is followed by another, later and later, until none is left."""

from datetime import timedelta

import pytest

from pgqueue import Backoff, enqueue, job, retry
from tests.sql.verbs import row, state, value, values
from tests.worker.working import attempts, drain, states, until, working

pytestmark = pytest.mark.integration

AT_ONCE = Backoff(base=0)


async def test_a_job_that_failed_is_tried_again_until_it_succeeds(dsn, db):
    """What most failures need: a moment later the other side is back."""

    @job(backoff=AT_ONCE)
    async def fails_twice():
        if value(db, "select count(*) from pgqueue.attempt") < 2:
            raise ConnectionError("refused")

    id = enqueue(db, fails_twice.job()).id

    await drain(dsn)

    assert attempts(db, id) == [(1, "ConnectionError: refused"), (2, "ConnectionError: refused")]
    done = row(db, "select state, attempt, error from pgqueue.jobs where id = %s", [id])
    assert done == ("completed", 3, None)


async def test_a_job_whose_attempts_are_used_up_ends_as_failed(dsn, db):
    """A dead letter: it waits for a person, under its last error, and brings nobody down meanwhile."""

    @job(max_attempts=3, backoff=AT_ONCE)
    async def fails():
        raise ValueError("never")

    id = enqueue(db, fails.job()).id

    await drain(dsn)

    assert [number for number, _ in attempts(db, id)] == [1, 2, 3]
    dead = row(db, "select state, attempt, error from pgqueue.jobs where id = %s", [id])
    assert dead == ("failed", 3, "ValueError: never")


async def test_the_jobs_own_max_attempts_override_the_handlers(dsn, db):
    """One caller may want less patience than the handler's author."""

    @job(max_attempts=5, backoff=AT_ONCE)
    async def fails():
        raise ValueError("never")

    id = enqueue(db, fails.job().options(max_attempts=2)).id

    await drain(dsn)

    assert len(attempts(db, id)) == 2


@pytest.mark.parametrize(
    ("backoff", "attempt", "shortest", "longest"),
    [
        (Backoff(jitter=0), 1, 1, 1),
        (Backoff(jitter=0), 4, 8, 8),
        (Backoff(jitter=0, cap=5), 4, 5, 5),
        (Backoff(base=600), 1, 300, 600),
        (Backoff(cap=1e300), 9_000, 3600, 10_000 * 366 * 86_400),
    ],
    ids=["first", "fourth", "capped", "jitter", "without a sensible cap"],
)
async def test_the_next_attempt_comes_after_a_pause(dsn, db, backoff, attempt, shortest, longest):
    """Exponential, capped, and a little random: the other side recovers, and not everybody comes back at once."""

    @job(max_attempts=10_000, backoff=backoff)
    async def fails():
        raise ValueError("not yet")

    enqueue(db, fails.job())
    db.execute("update pgqueue.job set attempt = %s", [attempt - 1])

    await drain(dsn)

    pause = value(db, "select extract(epoch from j.run_at - a.finished_at) from pgqueue.job j, pgqueue.attempt a")
    assert states(db) == ["scheduled"]
    assert shortest <= pause <= longest


async def test_jitter_differs_from_job_to_job(dsn, db):
    """Jobs that failed together in an outage must not all come back together."""

    @job(backoff=Backoff(base=1000))
    async def fails():
        raise ValueError("not yet")

    for _ in range(20):
        enqueue(db, fails.job())

    await drain(dsn)

    pauses = values(db, "select run_at - a.finished_at from pgqueue.job j join pgqueue.attempt a on a.job = j.id")
    assert len(set(pauses)) == 20
    assert max(pauses) - min(pauses) > timedelta(seconds=50)


async def test_a_dead_letter_that_was_brought_back_runs_again(dsn, db):
    """The bug is fixed, the operator retries: all attempts again, the old ones still on record."""
    fixed = []

    @job(max_attempts=1)
    async def was_broken():
        if not fixed:
            raise ValueError("bug")

    id = enqueue(db, was_broken.job()).id
    async with working(dsn):
        await until(lambda: state(db, id) == "failed")
        fixed.append(True)
        retry(db, id)
        await until(lambda: state(db, id) == "completed")

    assert len(attempts(db, id)) == 1
