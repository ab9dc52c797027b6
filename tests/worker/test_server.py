"""The server comes late, goes, crashes and comes back: the worker waits, and works on by itself."""

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
from tests.worker.working import NEVER, until, until_asleep, worker_ids, working


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """Up, with the schema; tests leave it up."""
    with own_server() as server:
        server.start()
        install_schema(server.dsn)
        yield server


@contextlib.contextmanager
def connected(server: Server) -> Iterator[psycopg.Connection]:
    with psycopg.connect(server.dsn, autocommit=True) as db:
        yield db


def told(caplog: pytest.LogCaptureFixture, what: str) -> list[str]:
    """Which connections said so, in order of the alphabet."""
    return sorted(record.fields["connection"] for record in caplog.records if what in record.getMessage())


async def test_a_worker_that_comes_before_its_server_waits_for_it(server, caplog, noop):
    """After a power cut everything starts at once. It says so once for each connection, not once a try."""
    server.stop()
    with caplog.at_level(logging.INFO):
        async with working(server.dsn, poll=NEVER):
            await until(lambda: len(told(caplog, "not reachable")) == 4)
            await asyncio.to_thread(server.start)
            with connected(server) as db:
                id = enqueue(db, noop.job()).id
                await until(lambda: state(db, id) == "completed")
                await until_asleep(db)
            await until(lambda: len(told(caplog, "reachable again")) >= 4)

    assert told(caplog, "database not reachable") == ["bell", "lane", "lane", "steward"]
    assert told(caplog, "database reachable again") == ["bell", "lane", "lane", "steward"]


@pytest.mark.parametrize("how", ["fast", "immediate"])
async def test_a_restart_in_the_middle_of_work_costs_no_job(server, caplog, how):
    """A minor upgrade; a crash. Running handlers run on and are reported afterwards."""
    go_on = asyncio.Event()
    ran: list[int] = []

    @job
    async def waits(number: int):
        await go_on.wait()
        ran.append(number)

    @job
    async def quick(number: int):
        ran.append(number)

    with connected(server) as db:
        first = max([0, *worker_ids(db)])
        enqueue_many(db, [waits.job(number) for number in range(5)])
        enqueue_many(db, [quick.job(number) for number in range(5, 3000)])
    with caplog.at_level(logging.INFO):
        async with working(server.dsn, queues={"default": 10}, poll=NEVER):
            await until(lambda: len(ran) > 100)
            await asyncio.to_thread(server.restart, how)
            go_on.set()
            with connected(server) as db:
                await until(lambda: value(db, "select count(*) from pgqueue.job") == 0)
                await until_asleep(db)
                late = enqueue(db, quick.job(3000)).id
                await until(lambda: state(db, late) == "completed")
                lived = [worker for worker in worker_ids(db) if worker > first]

    assert set(ran) == set(range(3001))
    assert len(lived) == 1
    with connected(server) as db:
        assert value(db, "select count(*) from pgqueue.jobs where state <> 'completed'") == 0
        assert value(db, "select count(*) from pgqueue.attempt") == 0
        db.execute("truncate pgqueue.job_archive")


@pytest.mark.usefixtures("hasty")
async def test_a_worker_ends_while_its_server_is_down(server, noop):
    """It cannot report any more, and does not wait for ever to."""
    begun = asyncio.Event()

    @job
    async def waits():
        begun.set()
        await asyncio.sleep(60)

    with connected(server) as db:
        id = enqueue(db, waits.job()).id
    async with working(server.dsn):
        await begun.wait()
        await asyncio.to_thread(server.stop)
    await asyncio.to_thread(server.start)
    with connected(server) as db:
        assert state(db, id) == "running"  # until it is rescued
        db.execute("truncate pgqueue.job")


async def test_a_claim_that_a_crash_forgot_is_taken_back_by_its_run():
    """Claims commit asynchronously. After the crash the job looks as if nobody had it: the run that goes on takes it
    back before anybody else does, so it runs once."""
    begun, go_on = [], asyncio.Event()

    @job
    async def waits():
        begun.append(True)
        await go_on.wait()

    with own_server(wal_writer_delay="10s") as server:
        server.start()
        install_schema(server.dsn)
        with connected(server) as db:
            id = enqueue(db, waits.job()).id
        async with working(server.dsn, queues={"default": 1}, poll=NEVER):
            await until(lambda: begun)
            await asyncio.to_thread(server.restart, "immediate")
            with connected(server) as db:
                await until(lambda: value(db, "select worker from pgqueue.job") is not None)
                go_on.set()
                await until(lambda: state(db, id) == "completed")
                assert value(db, "select attempt from pgqueue.jobs") == 1

    assert len(begun) == 1


async def test_a_worker_that_has_worked_before_waits_even_for_a_database_that_is_gone(server, caplog, noop):
    """Restored from a backup, renamed for a moment: it must not take that for a slip in its DSN."""
    other = server.dsn.replace("/pgqueue?", "/postgres?")
    with caplog.at_level(logging.INFO):
        async with working(server.dsn, poll=NEVER):
            with connected(server) as db:
                await until_asleep(db)
            with psycopg.connect(other, autocommit=True) as admin:
                admin.execute("alter database pgqueue allow_connections false")
                admin.execute("select pg_terminate_backend(pid) from pg_stat_activity where datname = 'pgqueue'")
                admin.execute("alter database pgqueue rename to elsewhere")
                await until(lambda: "steward" in told(caplog, "not reachable"))
                admin.execute("alter database elsewhere rename to pgqueue")
                admin.execute("alter database pgqueue allow_connections true")
            with connected(server) as db:
                id = enqueue(db, noop.job()).id
                await until(lambda: state(db, id) == "completed")
