"""A network that breaks on either side of a connection pooler: no job is stranded, none runs twice.

Behind it nobody can tell which server session an exchange went to, so none can be ended: it may still commit after the
worker has told what it holds.
"""

import asyncio
from collections.abc import Iterator

import psycopg
import pytest

from pgqueue import enqueue_many, job
from pgqueue.worker import lanes, loop
from tests.chaos.proxy import Line, Network
from tests.sql.verbs import value
from tests.worker.pooler import MISSING, pooler
from tests.worker.server import through
from tests.worker.working import NEVER, until, until_all, worker_ids, working

pytestmark = pytest.mark.skipif(MISSING, reason="these tests run through a real PgBouncer; install pgbouncer")

SIDES = ["worker and pooler", "pooler and server"]
WITHIN_SECONDS = 60


@pytest.fixture
def dsn(tcp_dsn: str) -> str:
    """`db` is past the network."""
    return tcp_dsn


@pytest.fixture
def road(network: Network) -> Iterator[tuple[str, dict[str, Line]]]:
    """How to reach the server through a pooler, and the line on either side of that."""
    second = network.line()
    with (
        pooler(through(second)) as pooled,
        Network("127.0.0.1", int(psycopg.conninfo.conninfo_to_dict(pooled)["port"])) as before,
    ):
        first = before.line()
        yield through(first), dict(zip(SIDES, (first, second), strict=True))


@pytest.mark.parametrize("side", SIDES)
async def test_an_exchange_that_outlives_its_connection_strands_no_job(dsn, db, road, monkeypatch, side):
    """It commits after the worker has told what it holds, and the answer goes nowhere: the worker asks again, later."""
    monkeypatch.setattr(loop, "LANES", 1)
    monkeypatch.setattr(lanes, "LATER", (1.0, 2.0, 4.0, 8.0))
    monkeypatch.setattr(lanes, "PING_AFTER", 0.5)  # a lane that has nothing to do looks no sooner
    pooled, lines = road
    go_on, ran = asyncio.Event(), []

    @job
    async def waits(number: int):
        ran.append(number)
        await go_on.wait()

    ids = [one.id for one in enqueue_many(db, [waits.job(number) for number in range(2)])]
    blocked = """select pid from pg_stat_activity
        where application_name = 'pgqueue lane' and wait_event_type = 'Lock'"""
    with psycopg.connect(dsn) as other:
        async with working(pooled, direct_dsn=dsn, queues={"default": 1}, poll=NEVER):
            await until(lambda: ran)
            other.execute("select from pgqueue.job where id = %s for update", [ids[0]])
            go_on.set()
            (old,) = await until(lambda: db.execute(blocked).fetchall())
            lines[side].reset()
            await until(lambda: set(db.execute(blocked).fetchall()) - {old})
            other.rollback()
            await until_all(db)

    assert ran == [0, 1]
    assert value(db, "select max(attempt) from pgqueue.jobs") == 1


@pytest.mark.parametrize("side", SIDES)
async def test_resets_under_load_strand_and_repeat_nothing(dsn, db, road, monkeypatch, side):
    """Mid-exchange, at any moment of it."""
    monkeypatch.setattr(lanes, "LATER", (0.5, 1.0, 2.0, 4.0, 8.0))
    pooled, lines = road
    ran = []

    @job
    async def counts(number: int):
        ran.append(number)
        if number % 10 == 0:
            await asyncio.sleep(0.001)

    count = 3000
    async with working(pooled, direct_dsn=dsn, queues={"default": 20}, poll=NEVER):
        (worker,) = await until(lambda: worker_ids(db))
        enqueue_many(db, [counts.job(number) for number in range(count)])
        for done in range(200, count, 400):
            await until(lambda done=done: value(db, "select count(*) from pgqueue.job_archive") >= done, WITHIN_SECONDS)
            lines[side].reset()
        await until(lambda: not value(db, "select count(*) from pgqueue.job"), WITHIN_SECONDS)
        assert worker_ids(db) == [worker]

    assert sorted(ran) == list(range(count))
    assert value(db, "select max(attempt) from pgqueue.jobs") == 1
    assert value(db, "select count(*) from pgqueue.attempt") == 0
