"""Death: of a worker's process, or so the others think. Its jobs start again elsewhere; its late word is void."""

import asyncio
import contextlib
import logging
import signal

import psycopg
import pytest

from pgqueue import Job, enqueue, enqueue_many, job
from tests.sql.verbs import claim, register, rescue, row, rows, silent_for, state, value, values
from tests.worker.process import LEDGER, process
from tests.worker.working import attempts, drain, until, until_all, worker_ids, working

pytestmark = pytest.mark.integration

LEADS = """select exists (
    select from pg_locks l where l.locktype = 'advisory' and l.classid = 1885827332 and l.granted and l.pid <> %s
        and l.database = (select d.oid from pg_database d where d.datname = current_database())
)"""
"""Whether a session has the lead, other than the one named."""


def declare_dead(db: psycopg.Connection, worker: int) -> None:
    """As a leader would that has heard nothing of it for the longest patience."""
    db.execute(
        "update pgqueue.worker set heartbeat_at = clock_timestamp() - interval '121 seconds' where id = %s", [worker]
    )
    assert worker in rescue(db)


@pytest.mark.parametrize("leads", [True, False], ids=["leader", "other"])
async def test_the_jobs_of_a_killed_worker_start_again_within_seconds(dsn, db, leads):
    """SIGKILL, out of memory, a machine that burns: three seconds later another worker has them. If it led, another
    takes the lead and rescues at the same turn."""
    db.execute(LEDGER)
    jobs = [one.id for one in enqueue_many(db, [Job("waits_at_first") for _ in range(4)])]
    with contextlib.ExitStack() as stack:
        if not leads:
            stack.enter_context(process(dsn, queues={"other": 1}))
            await until(lambda: value(db, LEADS, [0]))
        victim = stack.enter_context(process(dsn, queues={"default": 4}))
        begun = "select count(distinct job) from ledger where event = 'begin'"
        await until(lambda: value(db, begun) == 4)
        await until(lambda: value(db, LEADS, [0]))
        with process(dsn, queues={"default": 4}) as survivor:
            await until(lambda: len(worker_ids(db)) == (2 if leads else 3))
            victim.signal(signal.SIGKILL)
            killed_at = value(db, "select clock_timestamp()")
            await until_all(db)
            survivor.signal(signal.SIGTERM)
            assert await asyncio.to_thread(survivor.ended) == 0

    again = value(db, "select max(at) from ledger where event = 'begin' and pid = %s", [survivor.pid])
    # On a quiet machine within three; without its lock free, it would be two minutes.
    assert (again - killed_at).total_seconds() < 15
    ended = values(db, "select job from ledger where event = 'end' order by job")
    assert ended == jobs
    for id in jobs:
        ((number, error),) = attempts(db, id)
        assert number == 1
        assert error.startswith("WorkerDied: worker ")
    assert value(db, "select array_agg(distinct attempt) from pgqueue.jobs") == [2]


async def test_a_frozen_process_finds_itself_declared_dead_when_it_goes_on_and_drops_what_it_held(dsn, db):
    """SIGSTOP, a suspended machine: it wakes up in the middle of a job that another worker has run meanwhile. It stops
    its own run, says so, and works on under a new id."""
    db.execute(LEDGER)
    id = enqueue(db, Job("waits_at_first")).id
    with process(dsn) as frozen:
        await until(lambda: value(db, "select count(*) from ledger") == 1)
        (first,) = worker_ids(db)
        frozen.signal(signal.SIGSTOP)
        silent_for(db, first, "121 s")
        with process(dsn) as other:
            await until(lambda: state(db, id) == "completed")
            frozen.signal(signal.SIGCONT)
            await until(lambda: len(worker_ids(db)) == 2)
            other.signal(signal.SIGTERM)
            assert await asyncio.to_thread(other.ended) == 0
        following = enqueue(db, Job("quick")).id
        await until(lambda: state(db, following) == "completed")
        frozen.signal(signal.SIGTERM)
        assert await asyncio.to_thread(frozen.ended) == 0  # its run is over: nothing is waited for
        told = frozen.log.count("this worker was declared dead; it drops what it held and registers again")

    assert told == 1
    assert first not in worker_ids(db)
    events = rows(db, "select pid, event from ledger where job = %s order by at", [id])
    assert events == [(frozen.pid, "begin"), (other.pid, "begin"), (other.pid, "end")]
    assert value(db, "select pid from ledger where job = %s", [following]) == frozen.pid


async def test_a_job_that_kills_its_workers_ends_as_failed(dsn, db):
    """A crash counts as an attempt, or it would take down one worker after another for ever."""
    db.execute(LEDGER)
    id = enqueue(db, Job("kills_its_worker", max_attempts=1)).id
    with process(dsn) as victim:
        assert await asyncio.to_thread(victim.ended) == -signal.SIGKILL
    declare_dead(db, worker_ids(db)[0])

    dead = row(db, "select state, error from pgqueue.jobs where id = %s", [id])
    assert dead.state == "failed"
    assert dead.error.startswith("WorkerDied: worker ")


async def test_the_neighbours_of_a_job_that_kills_its_workers_outlive_it(dsn, db):
    """Each crash costs all jobs of the process an attempt, since nobody knows whose doing it was; but only so many."""
    db.execute(LEDGER)
    killer = enqueue(db, Job("kills_its_worker", max_attempts=3)).id
    neighbours = [one.id for one in enqueue_many(db, [Job("waits", {"seconds": 0.5}) for _ in range(5)])]
    for _ in range(3):
        with process(dsn) as victim:
            assert await asyncio.to_thread(victim.ended) == -signal.SIGKILL
        await until(lambda: rescue(db, silence="0 s"))
    with process(dsn):
        await until(lambda: not value(db, "select count(*) from pgqueue.job"))

    assert state(db, killer) == "failed"
    assert len(attempts(db, killer)) == 3
    assert {state(db, id) for id in neighbours} == {"completed"}
    assert value(db, "select max(attempt) from pgqueue.jobs where id = any (%s)", [neighbours]) <= 4


async def test_a_worker_that_was_declared_dead_drops_what_it_held_and_works_on(dsn, db, caplog):
    """It was frozen, or cut off. Its jobs are others' now: it stops them, registers anew and takes new ones."""
    begun, stopped = [], []

    @job
    async def waits():
        begun.append(True)
        if len(begun) == 1:
            try:
                await asyncio.sleep(60)
            finally:
                stopped.append(True)

    id = enqueue(db, waits.job()).id
    with caplog.at_level(logging.INFO):
        async with working(dsn):
            await until(lambda: begun)
            (first,) = worker_ids(db)
            declare_dead(db, first)
            await until(lambda: state(db, id) == "completed")
            await until(lambda: value(db, "select count(*) from pgqueue.workers where state = 'running'") == 1)
            (second,) = worker_ids(db)

    assert stopped == [True]
    assert second != first
    assert [number for number, _ in attempts(db, id)] == [1]
    assert rows(db, "select id, state from pgqueue.workers order by id") == [(first, "dead"), (second, "stopped")]
    told = [record.getMessage() for record in caplog.records if "declared dead" in record.getMessage()]
    assert len(told) == 1


async def test_the_late_word_of_a_worker_that_was_declared_dead_counts_nothing(dsn, db, noop):
    """Its handler goes on, in a thread that nobody can stop, and returns after another worker has taken the job."""
    begun, go_on = asyncio.Event(), asyncio.Event()

    @job
    async def ignores():
        begun.set()
        while not go_on.is_set():
            try:
                await go_on.wait()
            except asyncio.CancelledError:
                continue
        return "too late"

    id = enqueue(db, ignores.job().options(max_attempts=1)).id
    async with working(dsn):
        await begun.wait()
        (first,) = worker_ids(db)
        declare_dead(db, first)
        await until(lambda: worker_ids(db) not in ([], [first]))
        go_on.set()
        following = enqueue(db, noop.job()).id
        await until(lambda: state(db, following) == "completed")

    assert row(db, "select state, result from pgqueue.jobs where id = %s", [id]) == ("failed", None)


async def test_the_jobs_of_a_frozen_leader_start_again_and_the_lead_passes_on(dsn, db, sessions, noop):
    """Its connection looks alive, so it keeps the lead: the others must not leave rescues to the leader alone."""
    (frozen,) = sessions(1)
    leader = register(frozen)
    assert value(frozen, "select pgqueue.lead()")
    id = enqueue(db, noop.job()).id
    claim(frozen, leader)
    silent_for(db, leader, "3 min")

    async with working(dsn):
        await until(lambda: state(db, id) == "completed")
        await until(lambda: value(db, LEADS, [frozen.info.backend_pid]))

    assert attempts(db, id) == [(1, f"WorkerDied: worker {leader} (host:1) died while it ran this job")]


async def test_a_worker_whose_row_is_gone_registers_anew(dsn, db, noop):
    """Somebody restored the database, or removed the row by hand."""
    async with working(dsn):
        (first,) = await until(lambda: worker_ids(db))
        db.execute("delete from pgqueue.worker")
        (second,) = await until(lambda: worker_ids(db))
        id = enqueue(db, noop.job()).id
        await until(lambda: state(db, id) == "completed")

    assert second != first


async def test_a_drain_goes_on_after_the_worker_was_declared_dead(dsn, db):
    """It must neither hang nor think that it is done."""
    begun = []

    @job
    async def waits():
        begun.append(True)
        if len(begun) == 1:
            await asyncio.sleep(60)

    enqueue_many(db, [waits.job() for _ in range(3)])
    draining = asyncio.create_task(drain(dsn, queues={"default": 1}))
    await until(lambda: begun)
    declare_dead(db, worker_ids(db)[0])
    await draining

    assert value(db, "select count(*) from pgqueue.jobs where state = 'completed'") == 3
