"""Waking: a job starts when it may, though nobody polls. The fallback poll is off (`NEVER`) but where it is meant."""

import asyncio
import random
import time

import psycopg
import pytest

from pgqueue import Backoff, cancel, enqueue, enqueue_many, job, retry
from pgqueue.worker import bell
from tests.sql.bells import marked
from tests.sql.verbs import LOCKS, claim, dead_worker, release, rescue, silent_for, state, value, values
from tests.worker.working import NEVER, PATIENCE_SECONDS, until, until_all, until_asleep, working

pytestmark = pytest.mark.integration

SOON = (0.3, 0.4, 0.5, 0.6)
"""Seconds until jobs are due. On a machine that is busy with other things each may be late, hardly all of them."""
ON_TIME = 0.25
"""Seconds from the moment to the start; without a timer it would be NEVER."""


def lateness(db: psycopg.Connection) -> list[float]:
    """Of each job that started, in seconds."""
    return values(db, "select extract(epoch from started_at - run_at) from pgqueue.jobs where started_at is not null")


async def test_a_sleeping_worker_starts_a_job_that_another_session_enqueues(dsn, db, noop):
    """The usual case: the web server commits, the worker wakes."""
    async with working(dsn, poll=NEVER):
        await until_asleep(db)
        id = enqueue(db, noop.job()).id
        await until(lambda: state(db, id) == "completed")


async def test_it_wakes_for_each_of_its_queues(dsn, db, noop):
    """They sleep side by side on one connection."""
    queues = [f"q{number}" for number in range(5)]
    async with working(dsn, queues=dict.fromkeys(queues, 1), poll=NEVER):
        await until_asleep(db, len(queues))
        for queue in queues:
            id = enqueue(db, noop.job().options(queue=queue)).id
            await until(lambda id=id: state(db, id) == "completed")


async def test_a_job_whose_transaction_began_before_the_worker_slept_is_not_missed(dsn, db, sessions, noop):
    """The producer looked while nobody slept, so it does not ring; it commits when the worker is about to sleep."""
    (producer,) = sessions(1)
    with producer.transaction():
        id = enqueue(producer, noop.job()).id
        worker = working(dsn, poll=NEVER)
        await worker.__aenter__()
        parked = f"select count(*) from {LOCKS} where locktype = 'advisory' and classid = 1885827330"
        await until(lambda: value(db, parked) == 1)
    await until(lambda: state(db, id) == "completed")
    await worker.__aexit__(None, None, None)


@pytest.fixture
def seldom(monkeypatch):
    """While somebody's transaction keeps it from sleeping, a worker hardly ever looks by itself."""
    monkeypatch.setattr(bell, "SETTLE_GROWTH", NEVER * 1000)
    monkeypatch.setattr(bell, "LONGEST_SETTLE", NEVER)


async def test_who_is_kept_awake_by_another_queue_still_hears_a_ring(dsn, db, sessions, noop, seldom):
    """A batch that writes jobs for minutes must not delay those of all other queues."""
    (other,) = sessions(1)
    with other.transaction():
        enqueue(other, noop.job().options(queue="other"))
        async with working(dsn, poll=NEVER):
            await until_asleep(db)
            for _ in range(3):
                id = enqueue(db, noop.job()).id
                await until(lambda id=id: state(db, id) == "completed")
                await until_asleep(db)


async def test_who_is_kept_awake_by_another_queue_starts_a_job_dated_ahead_on_time(dsn, db, sessions, noop, seldom):
    """Its timer runs meanwhile."""
    (other,) = sessions(1)
    with other.transaction():
        enqueue(other, noop.job().options(queue="other"))
        async with working(dsn, poll=NEVER):
            await until_asleep(db)
            for delay in SOON:
                enqueue(db, noop.job().options(delay=delay))
            await until_all(db)

    assert 0 <= min(lateness(db)) < ON_TIME


async def test_a_job_that_another_has_locked_starts_when_it_is_free(dsn, db, sessions, noop):
    """Nobody rings for a job that only stayed: so a worker that sees one does not go to sleep."""
    (operator,) = sessions(1)
    async with working(dsn, poll=NEVER):
        await until_asleep(db)
        with operator.transaction(force_rollback=True):
            id = enqueue(db, noop.job().options(delay=0.2)).id
            cancel(operator, id)
            due = "select run_at < clock_timestamp() - interval '0.5 s' from pgqueue.job where id = %s"
            await until(lambda: value(db, due, [id]))
            assert state(db, id) == "ready"
        await until(lambda: state(db, id) == "completed")


async def test_bits_of_queues_that_nobody_sleeps_in_are_cleared(dsn, db):
    """Else producers would ask by a lock, until the server is restarted."""
    async with working(dsn, queues={"one": 1}, poll=NEVER, name="one"):
        await until(lambda: marked(db, "one"))
        async with working(dsn, queues={"other": 1}, poll=NEVER, name="other"):
            await until(lambda: marked(db, "other"))
        await until(lambda: not marked(db, "other"))
        assert marked(db, "one")


async def test_no_wake_up_is_lost_however_the_moments_fall(dsn, db, noop):
    """Producers commit at random moments around those in which the worker parks, with and without a delay between
    enqueue and commit. One lost wake-up and the test waits for ever."""
    chance = random.Random(7)

    async def produce(rounds: int) -> None:
        async with await psycopg.AsyncConnection.connect(dsn) as producer:
            for _ in range(rounds):
                await enqueue(producer, noop.job())
                if chance.random() < 0.3:
                    await asyncio.sleep(chance.uniform(0, 0.01))
                await producer.commit()
                async with asyncio.timeout(PATIENCE_SECONDS):
                    while (await (await producer.execute("select count(*) from pgqueue.job")).fetchone())[0]:
                        await producer.rollback()
                await producer.rollback()
                await asyncio.sleep(chance.uniform(0, 0.015))

    async with working(dsn, poll=NEVER):
        await asyncio.gather(*(produce(100) for _ in range(3)))

    assert value(db, "select count(*) from pgqueue.jobs where state = 'completed'") == 300


async def test_a_job_dated_ahead_starts_on_time(dsn, db, noop):
    """By a timer, not by polling; and not before its time."""
    async with working(dsn, poll=NEVER):
        await until_asleep(db)
        for delay in SOON:
            enqueue(db, noop.job().options(delay=delay))
        await until_all(db)

    assert 0 <= min(lateness(db)) < ON_TIME


async def test_jobs_that_waited_before_the_worker_came_start_on_time(dsn, db, noop):
    """Nobody rings for them: the worker finds out by itself when the next one is due."""
    for delay in SOON:
        enqueue(db, noop.job().options(delay=delay))

    async with working(dsn, poll=NEVER):
        await until_all(db)

    assert 0 <= min(lateness(db)) < ON_TIME


async def test_an_earlier_job_sets_the_timer_earlier(dsn, db, noop):
    """The worker sleeps until the job of tomorrow when one for this second comes."""
    async with working(dsn, poll=NEVER):
        later = enqueue(db, noop.job().options(delay=86_400)).id
        await until_asleep(db)
        for delay in SOON:
            enqueue(db, noop.job().options(delay=delay))
        await until_all(db, count=len(SOON))

    assert 0 <= min(lateness(db)) < ON_TIME
    assert state(db, later) == "scheduled"


async def test_it_wakes_for_its_own_retries(dsn, db):
    """A failed job is dated ahead as well: its next attempt comes by timer."""
    tries = []

    @job(backoff=Backoff(base=0.3, jitter=0))
    async def fails_once():
        tries.append(time.monotonic())
        if len(tries) == 1:
            raise ValueError("not yet")

    async with working(dsn, poll=NEVER):
        enqueue(db, fails_once.job())
        await until_all(db)

    assert 0.28 <= tries[1] - tries[0] < 10


async def test_it_wakes_for_a_job_that_another_worker_gives_back(dsn, db, noop):
    """A deploy: the old worker stops and hands over what it had not started."""
    id = enqueue(db, noop.job()).id
    (held,) = claim(db)
    async with working(dsn, poll=NEVER):
        await until_asleep(db)
        release(db, 1001, [held])
        await until(lambda: state(db, id) == "completed")


async def test_it_wakes_for_a_job_that_an_operator_brings_back(dsn, db, noop):
    """Cancelled by mistake, retried: at once, not at the next poll."""
    id = enqueue(db, noop.job().options(delay=3600)).id
    async with working(dsn, poll=NEVER):
        await until_asleep(db)
        cancel(db, id)
        retry(db, id)
        await until(lambda: state(db, id) == "completed")


async def test_it_wakes_for_the_jobs_of_a_worker_that_died(dsn, db, sessions, noop):
    """Whoever leads rescues; whoever is free starts."""
    dead = dead_worker(sessions)
    silent_for(db, dead, "0 s")  # not yet: its rescue is this test's own
    id = enqueue(db, noop.job()).id
    claim(db, dead)
    async with working(dsn, poll=NEVER):
        await until_asleep(db)
        rescue(db, silence="0 s")
        await until(lambda: state(db, id) == "completed")

    assert value(db, "select attempt from pgqueue.jobs") == 2


async def test_the_fallback_poll_finds_what_nobody_rang_for(dsn, db, noop):
    """Belt and braces: rows restored from a backup, a notification queue that was full."""
    async with working(dsn, poll=0.2):
        await until_asleep(db)
        db.execute("insert into pgqueue.job (kind) values ('noop')")
        await until_all(db)


async def test_a_burst_is_worked_by_sleeping_workers_together(dsn, db, noop):
    """A notification wakes them all."""
    async with working(dsn, poll=NEVER, name="one"), working(dsn, poll=NEVER, name="two"):
        await until_asleep(db, 2)
        enqueue_many(db, [noop.job() for _ in range(3000)])
        await until_all(db)
