"""Connections: each of a worker's own may be lost at any time. It opens it again, hears again, and strands nothing."""

import asyncio
import logging
import threading

import psycopg
import pytest

from pgqueue import JobContext, enqueue, enqueue_many, every, job
from tests.sql.test_hold import forget
from tests.sql.verbs import LOCKS, claim, finish, live, register, state, value, values
from tests.worker.working import NEVER, connections, until, until_all, until_asleep, worker_ids, working

pytestmark = pytest.mark.integration


def terminate(db: psycopg.Connection, *roles: str) -> list[int]:
    """Ends these connections, as an operator or a failing network would; returns which."""
    found = connections(db, *roles)
    for pid in found:
        db.execute("select pg_terminate_backend(%s, 5000)", [pid])
    return found


@pytest.mark.parametrize("role", ["lane", "bell", "steward"])
async def test_a_worker_that_lost_a_connection_while_it_slept_still_wakes(dsn, db, caplog, noop, role):
    """Not deaf: the next job starts at once. The log says once that it is lost and once that it is back."""

    def lines(what):
        return [record for record in caplog.records if what in record.getMessage()]

    with caplog.at_level(logging.INFO):
        async with working(dsn, poll=NEVER):
            await until_asleep(db)
            (worker,) = worker_ids(db)
            lost = terminate(db, role)
            ids = [one.id for one in enqueue_many(db, [noop.job() for _ in range(3)])]
            await until(lambda: all(state(db, id) == "completed" for id in ids))
            await until(lambda: len(connections(db, role)) == len(lost))
            if role != "steward":
                await until_asleep(db)
            id = enqueue(db, noop.job()).id
            await until(lambda: state(db, id) == "completed")
            await until(lambda: len(lines("reachable again")) == len(lines("not reachable")))
            assert worker_ids(db) == [worker]
            assert set(connections(db, role)).isdisjoint(lost)

    assert 1 <= len(lines("not reachable")) <= len(lost)
    assert len(lines("reachable again")) == len(lines("not reachable"))


async def test_a_steward_that_lost_its_connection_holds_its_lock_again(dsn, db):
    """Without it the worker would look dead as soon as a beat is late."""
    held = f"select count(*) from {LOCKS} where locktype = 'advisory' and classid = 1885827331 and objid = %s"
    async with working(dsn):
        await until_asleep(db)
        (worker,) = worker_ids(db)
        (lost,) = terminate(db, "steward")
        await until(lambda: connections(db, "steward") not in ([], [lost]))
        await until(lambda: value(db, held, [worker]) == 1)
        assert worker_ids(db) == [worker]


async def test_a_steward_that_lost_its_connection_on_the_way_in_registers_once(dsn, db, sessions):
    """The row of a first registration would look like a worker that died."""
    (other,) = sessions(1)

    @every(hours=1)
    @job
    async def planned(): ...

    def until_waiting():
        # Of this database: others on the same server have tests of their own.
        here = "database = (select d.oid from pg_database d where d.datname = current_database())"
        return until(
            lambda: values(db, f"select pid from pg_locks where not granted and relation is not null and {here}")
        )

    other.execute("begin")
    other.execute("lock table pgqueue.schedule")
    async with working(dsn):
        lost = await until_waiting()
        (registered,) = worker_ids(db)
        terminate(db, "steward")
        assert await until_waiting() != lost
        other.execute("commit")
        await until_asleep(db)
        assert worker_ids(db) == [registered]

    assert value(db, "select count(*) from pgqueue.schedule") == 1


@pytest.mark.parametrize("role", ["lane", "bell", "steward"])
async def test_connections_lost_again_and_again_under_load_strand_and_repeat_nothing(dsn, db, role):
    """Mid-exchange: the answer may be lost while what it did is committed. The worker asks and settles it."""
    ran = []

    @job
    async def counts(number: int):
        ran.append(number)
        if number % 10 == 0:
            await asyncio.sleep(0.001)

    count = 6000
    async with working(dsn, queues={"default": 20}, poll=NEVER):
        await until_asleep(db)
        enqueue_many(db, [counts.job(number) for number in range(count)])
        for done in range(500, count, 1000):
            await until(lambda done=done: value(db, "select count(*) from pgqueue.job_archive") >= done)
            await until(lambda: terminate(db, role))
        await until_all(db, count=count)

    assert set(ran) == set(range(count))
    assert len(ran) == count
    assert value(db, "select max(attempt) from pgqueue.jobs") == 1
    assert value(db, "select count(*) from pgqueue.attempt") == 0


async def test_a_job_whose_claim_was_answered_to_a_lost_connection_is_not_stranded(dsn, db, noop):
    """The claim is committed and its answer lost: the worker holds a job it never heard of. It asks when it is back."""
    async with working(dsn, poll=NEVER):
        await until_asleep(db)
        (worker,) = worker_ids(db)
        with db.transaction():
            unheard_of = enqueue(db, noop.job()).id
            claim(db, worker)
        assert state(db, unheard_of) == "running"
        terminate(db, "lane")
        enqueue(db, noop.job())
        await until_all(db)

    assert value(db, "select attempt from pgqueue.jobs where id = %s", [unheard_of]) == 1


@pytest.mark.parametrize("kind", ["async", "sync"])
async def test_a_handlers_connection_lost_while_it_lay_in_the_pool_costs_no_attempt(dsn, db, kind):
    """It is looked at before a job gets it."""
    db.execute("create table effect (job bigint, attempt integer)")
    insert = "insert into effect values (%s, %s)"

    @job(transactional=True)
    async def writes_async(ctx: JobContext):
        await ctx.connection.execute(insert, [ctx.id, ctx.attempt])

    @job(transactional=True)
    def writes_sync(ctx: JobContext):
        ctx.connection.execute(insert, [ctx.id, ctx.attempt])

    task = writes_async if kind == "async" else writes_sync
    async with working(dsn, queues={"default": 1}, poll=NEVER) as worker:
        first = enqueue(db, task.job()).id
        await until(lambda: state(db, first) == "completed" and worker._pool and worker._pool._idle)
        lost = terminate(db, "handler")
        second = enqueue(db, task.job()).id
        await until(lambda: state(db, second) == "completed")
        assert set(connections(db, "handler")).isdisjoint(lost)

    assert len(lost) == 1
    assert db.execute("select job, attempt from effect order by job").fetchall() == [(first, 1), (second, 1)]


async def test_all_of_them_lost_at_once_with_handlers_running(dsn, db):
    """A failover. What runs runs on and is reported when the connections are back."""
    begun, go_on = [], asyncio.Event()

    @job
    async def waits():
        begun.append(True)
        await go_on.wait()

    enqueue_many(db, [waits.job() for _ in range(5)])
    async with working(dsn, queues={"default": 5}, poll=NEVER):
        await until(lambda: len(begun) == 5)
        terminate(db)
        go_on.set()
        await until_all(db)

    assert len(begun) == 5
    assert value(db, "select max(attempt) from pgqueue.jobs") == 1


@pytest.mark.parametrize("kind", ["async", "sync"])
async def test_a_run_whose_claim_the_server_forgot_is_cut_once_another_worker_has_the_job(
    dsn, db, sessions, noop, kind
):
    """After a crash of the server. It could not report any more: two runs should not go on side by side."""
    (other,) = sessions(1)
    begun, cut, go_on = threading.Event(), threading.Event(), threading.Event()

    @job
    async def waits_async():
        begun.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cut.set()
            raise

    @job
    def waits_sync():
        begun.set()
        go_on.wait(60)

    id = enqueue(db, (waits_async if kind == "async" else waits_sync).job()).id
    async with working(dsn, queues={"default": 1}, poll=NEVER) as worker:
        await until(begun.is_set)
        thief = register(other)
        with db.transaction():
            forget(db, id)
            (taken,) = claim(db, thief)
        terminate(db)
        await until(lambda: worker._desk.running == 0)
        assert live(db, id).worker == thief
        assert finish(other, thief, [taken]) == []
        go_on.set()
        following = enqueue(db, noop.job()).id
        await until(lambda: state(db, following) == "completed")

    assert state(db, id) == "completed"
    assert cut.is_set() is (kind == "async")
