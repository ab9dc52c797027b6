"""Through a connection pooler in transaction mode: everything works, and what cannot is said once."""

import logging
from collections.abc import Iterator

import psycopg
import pytest

from pgqueue import enqueue, enqueue_many, job
from pgqueue.worker.link import Link
from tests.sql.verbs import LOCKS, claim, dead_worker, rescue, silent_for, state, value
from tests.worker.pooler import MISSING, pooler
from tests.worker.working import NEVER, attempts, connections, until, until_all, until_asleep, worker_ids, working

KEPT = [1885827331, 1885827332]
"""Keys of the locks that a worker's session keeps: that it lives, that it leads."""

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(MISSING, reason="these tests run through a real PgBouncer; install pgbouncer"),
]


@pytest.fixture
def pooled(dsn: str) -> Iterator[str]:
    """DSN of the test's database through the pooler."""
    with pooler(dsn) as pooled:
        yield pooled


async def test_a_pooler_shows_itself(dsn, pooled):
    """By process ids that are not the server's."""
    for where, expected in ((dsn, False), (pooled, True)):
        async with await psycopg.AsyncConnection.connect(where, autocommit=True) as connection:
            assert await Link("lane", where).meet(connection) is expected


async def test_lanes_go_through_the_pooler_while_the_bell_listens_directly(dsn, db, pooled, noop):
    """No statement of the worker's outlives its transaction, and it sleeps until it is rung."""

    @job(max_attempts=2)
    async def fails(number: int):
        raise ValueError(number)

    with psycopg.connect(pooled, autocommit=True, prepare_threshold=None) as client:
        enqueue_many(client, [noop.job() for _ in range(500)])
        failing = enqueue(client, fails.job(1)).id
        async with working(pooled, direct_dsn=dsn, queues={"default": 5}, poll=NEVER):
            await until(lambda: state(db, failing) == "failed")
            await until_all(db, count=500)
            await until_asleep(db)
            late = enqueue(client, noop.job()).id
            await until(lambda: state(db, late) == "completed")

    assert len(attempts(db, failing)) == 2


async def test_without_a_direct_connection_its_beats_alone_tell_that_it_lives(db, pooled, noop):
    """A lock would stay with a session that the pooler gives to anybody: held for ever, or free at once."""
    async with working(pooled, poll=NEVER):
        (worker,) = await until(lambda: worker_ids(db))
        await until(lambda: value(db, "select count(*) from pg_stat_activity where query like '%stand_in%'"))
        held = f"select count(*) from {LOCKS} where locktype = 'advisory' and classid = any (%s)"
        assert value(db, held, [KEPT]) == 0
        with db.transaction():
            silent_for(db, worker, "20 s")
            assert rescue(db) == {}
            silent_for(db, worker, "31 s")
            assert rescue(db) == {worker: 0}
        await until(lambda: worker_ids(db) not in ([], [worker]))
        id = enqueue(db, noop.job()).id
        await until(lambda: state(db, id) == "completed")


async def test_without_any_direct_connection_the_dead_are_found_and_the_archive_is_kept(db, pooled, sessions, noop):
    """A fleet in which nobody can keep the lead is no fleet without a leader."""
    dead = dead_worker(sessions)
    id = enqueue(db, noop.job()).id
    claim(db, dead)
    days = "select count(*) from pg_inherits where inhparent = 'pgqueue.job_archive_completed'::regclass"
    before = value(db, days)
    async with working(pooled, poll=NEVER):
        await until(lambda: state(db, id) == "completed")
        await until(lambda: value(db, days) > before)

    assert attempts(db, id)[0][1].startswith("WorkerDied: ")


async def test_without_a_direct_connection_it_looks_now_and_then_and_says_so_once(db, pooled, caplog, noop):
    """Nobody could ring it: not deaf, not busy."""
    with caplog.at_level(logging.INFO):
        async with working(pooled, poll=NEVER):
            await until(lambda: worker_ids(db))
            for _ in range(3):
                id = enqueue(db, noop.job()).id
                await until(lambda id=id: state(db, id) == "completed")
            assert connections(db, "bell") == [] or value(db, "select count(*) from pgqueue.workers") == 1

    assert len([record for record in caplog.records if "pooler is in the way" in record.getMessage()]) == 1
    assert [record for record in caplog.records if "not reachable" in record.getMessage()] == []
    assert value(db, f"select count(*) from {LOCKS} where locktype = 'advisory' and classid = 1885827330") == 0
