"""Ends of its own: --drain, --max-jobs, --max-time."""

import asyncio
import time

import pytest

from pgqueue import Backoff, Unique, enqueue, enqueue_many, job
from tests.sql.verbs import state, value
from tests.worker.working import NEVER, drain, states, until, work

pytestmark = pytest.mark.integration


async def test_an_empty_queue_is_drained_at_once(dsn):
    """A cron job that finds nothing to do."""
    await drain(dsn)


async def test_everything_that_could_run_now_is_worked(dsn, db, noop):
    """Of all queues it serves, none of others."""
    for queue in ("one", "two", "not ours".replace(" ", "_")):
        enqueue_many(db, [noop.job().options(queue=queue) for _ in range(300)])

    await drain(dsn, queues={"one": 5, "two": 1})

    left = dict(db.execute("select queue, count(*) from pgqueue.job group by queue").fetchall())
    assert left == {"not_ours": 300}


async def test_jobs_of_the_future_are_left(dsn, db, noop):
    """They could not run now; nor can retries that wait for their pause."""

    @job(backoff=Backoff(base=3600))
    async def fails():
        raise ValueError("not yet")

    enqueue_many(db, [noop.job(), noop.job().options(delay=3600), fails.job()])

    await drain(dsn)

    assert states(db) == ["completed", "scheduled", "scheduled"]


async def test_jobs_that_running_jobs_enqueue_are_waited_for(dsn, db, noop):
    """The queue looks empty while its last job still runs: that job may enqueue more, also into the other queue."""

    @job
    async def enqueues_late():
        await asyncio.sleep(0.3)
        enqueue(db, noop.job().options(queue="other"))

    enqueue(db, enqueues_late.job())

    await drain(dsn, queues={"default": 2, "other": 2})

    assert states(db) == ["completed", "completed"]


async def test_a_retry_without_pause_is_part_of_it(dsn, db):
    """It could run now."""
    tries = []

    @job(backoff=Backoff(base=0))
    async def fails_twice():
        tries.append(True)
        if len(tries) < 3:
            raise ValueError("not yet")

    enqueue(db, fails_twice.job())

    await drain(dsn, queues={"default": 1})

    assert states(db) == ["completed"]


async def test_a_job_that_waits_for_another_of_its_key_is_part_of_it(dsn, db):
    """It could run now that the other is done, and the leader, who lets it, looks once a second."""
    seen = []

    @job(unique=Unique(by=(), on_conflict="latest"))
    async def publish(price: int):
        seen.append(price)
        if price == 1:
            enqueue(db, publish.job(2))
            enqueue(db, publish.job(3))

    enqueue(db, publish.job(1))

    await drain(dsn)

    assert seen == [1, 3]
    assert states(db) == ["completed", "completed"]


async def test_jobs_that_another_worker_runs_are_not_waited_for(dsn, db, noop):
    """They are that worker's. Locked rows must not make it wait either."""
    enqueue_many(db, [noop.job() for _ in range(2)])
    with db.transaction():
        db.execute("select from pgqueue.claim(1001, 'default', 1)")
        await drain(dsn)

    assert sorted(states(db)) == ["completed", "running"]


@pytest.mark.parametrize("count", [1, 7, 150])
async def test_max_jobs_are_exactly_so_many(dsn, db, noop, count):
    """Whatever it would have prefetched: none is taken only to be given back, none is left half done."""
    enqueue_many(db, [noop.job() for _ in range(200)])

    await work(dsn, max_jobs=count, queues={"default": 4})

    assert value(db, "select count(*) from pgqueue.jobs where state = 'completed'") == count
    assert value(db, "select count(*) from pgqueue.job where claims = 0 and worker is null") == 200 - count


async def test_max_jobs_waits_for_jobs_to_come(dsn, db, noop):
    """It is an end, not a drain."""
    worker = asyncio.create_task(work(dsn, max_jobs=2, poll=NEVER))
    for _ in range(2):
        id = enqueue(db, noop.job()).id
        await until(lambda id=id: state(db, id) == "completed")
    await worker


async def test_max_time_ends_it_in_order(dsn, db):
    """For platforms that restart their processes every so often: running jobs finish, the rest waits for the next."""

    @job
    async def takes_a_moment():
        await asyncio.sleep(0.2)

    enqueue_many(db, [takes_a_moment.job() for _ in range(100)])
    began = time.monotonic()

    await work(dsn, max_time=2, queues={"default": 1})

    assert time.monotonic() - began >= 2
    assert set(states(db)) == {"completed", "ready"}
    assert value(db, "select max(attempt) from pgqueue.job") == 0
