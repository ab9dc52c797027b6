"""Failover: the primary is gone for good, a standby is promoted, and one DSN names both."""

import asyncio
import contextlib
import logging
from collections.abc import Iterator

import psycopg
import pytest

from pgqueue import enqueue, enqueue_many, job
from tests.install import install_schema
from tests.sql.verbs import state, value
from tests.worker.server import Server, own_server
from tests.worker.standby import Standby, either, standby_of, written_by
from tests.worker.test_server import told
from tests.worker.working import NEVER, until, until_all, until_asleep, worker_ids, working


@pytest.fixture
def pair() -> Iterator[tuple[Server, Standby]]:
    """A primary with the schema, and its standby. A test may leave them in any state."""
    with own_server() as primary:
        primary.start()
        install_schema(primary.dsn)
        with standby_of(primary) as standby:
            yield primary, standby


@contextlib.contextmanager
def connected(server: Server) -> Iterator[psycopg.Connection]:
    with psycopg.connect(server.dsn, autocommit=True) as db:
        yield db


async def test_running_handlers_are_reported_to_the_new_primary_and_no_job_is_lost(pair, caplog):
    """The worker is the same before and after: nobody restarts it, nothing runs twice, and the log says it once."""
    primary, standby = pair
    go_on, ran = asyncio.Event(), []

    @job
    async def waits(number: int):
        ran.append(number)
        await go_on.wait()

    with connected(primary) as db:
        enqueue_many(db, [waits.job(number) for number in range(8)])
    with caplog.at_level(logging.INFO):
        async with working(either(primary, standby), queues={"default": 5}, poll=NEVER):
            await until(lambda: len(ran) == 5)
            written = written_by(primary)
            await until(lambda: standby.has_replayed(written))
            await asyncio.to_thread(primary.stop, "immediate")
            await until(lambda: {"bell", "steward"} <= set(told(caplog, "not reachable")))
            assert len(ran) == 5
            await asyncio.to_thread(standby.promote)
            go_on.set()
            with connected(standby) as db:
                await until_all(db, count=8)
                await until_asleep(db)
                late = enqueue(db, waits.job(8)).id
                await until(lambda: state(db, late) == "completed")
                (worker,) = worker_ids(db)
                await until(lambda: told(caplog, "not reachable") == told(caplog, "reachable again"))

    with connected(standby) as db:
        assert value(db, "select array_agg(distinct worker) from pgqueue.job_archive") == [worker]
        assert value(db, "select count(*) from pgqueue.attempt") == 0
    assert sorted(ran) == list(range(9))
    assert told(caplog, "not reachable") == told(caplog, "reachable again")
    assert len(told(caplog, "not reachable")) <= 4


async def test_a_standby_is_waited_for_until_it_takes_writes(pair, caplog, noop):
    """It can be reached and read: what is wrong is told as it is, and nothing is exited for."""
    primary, standby = pair
    with connected(primary) as db:
        id = enqueue(db, noop.job()).id
    written = written_by(primary)
    await until(lambda: standby.has_replayed(written))
    with caplog.at_level(logging.INFO):
        async with working(standby.dsn, poll=NEVER):
            await until(lambda: "steward" in told(caplog, "database is read-only, waiting for it"))
            await asyncio.to_thread(standby.promote)
            with connected(standby) as db:
                await until(lambda: state(db, id) == "completed")

    assert told(caplog, "database is read-only").count("steward") == 1
    assert told(caplog, "reachable again").count("steward") == 1
