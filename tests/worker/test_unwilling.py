"""A server that can be reached but does not do its work: read-only, its disk full, its connections used up."""

import asyncio
import contextlib
import logging
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from pgqueue import enqueue, enqueue_many, job
from pgqueue.embedded import account as accounts
from tests.install import install_schema
from tests.sql.verbs import state, value
from tests.worker.server import Server, home_of_its_own, own_server
from tests.worker.test_server import told
from tests.worker.working import NEVER, until, until_all, until_asleep, worker_ids, working

FEW = 12
"""Connections of the server in these tests."""
SMALL_BYTES = 8 << 20


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """Up, with the schema and few connections; tests leave it as they found it."""
    with own_server(max_connections=str(FEW), autovacuum="off") as server:
        server.start()
        install_schema(server.dsn)
        yield server


async def all_connections(server: Server, taken: contextlib.ExitStack) -> list[psycopg.Connection]:
    """Every one that the server has. Those of the test before may still be on their way out."""
    connections: list[psycopg.Connection] = []

    def take() -> bool:
        with contextlib.suppress(psycopg.OperationalError):
            connections.append(taken.enter_context(psycopg.connect(server.dsn, autocommit=True)))
        return len(connections) == FEW

    await until(take)
    return connections


@contextlib.contextmanager
def connected(server: Server) -> Iterator[psycopg.Connection]:
    with psycopg.connect(server.dsn, autocommit=True) as db:
        yield db


async def test_a_database_made_read_only_is_waited_for_with_handlers_running(server, caplog):
    """A failover in the making, a switch before an upgrade. What runs is reported once it may be written."""
    begun, go_on = [], asyncio.Event()

    @job
    async def waits():
        begun.append(True)
        await go_on.wait()

    with connected(server) as db, caplog.at_level(logging.INFO):
        enqueue_many(db, [waits.job() for _ in range(3)])
        async with working(server.dsn, poll=NEVER):
            await until(lambda: len(begun) == 3)
            (worker,) = worker_ids(db)
            db.execute("alter system set default_transaction_read_only = on")
            db.execute("select pg_reload_conf()")
            await until(lambda: "steward" in told(caplog, "database is read-only, waiting for it"))
            go_on.set()
            await until(lambda: "lane" in told(caplog, "database is read-only, waiting for it"))
            db.execute("alter system reset default_transaction_read_only")
            db.execute("select pg_reload_conf()")
            await until_all(db)
            await until(lambda: "steward" in told(caplog, "reachable again"))
            assert worker_ids(db) == [worker]

    assert len(begun) == 3
    assert set(told(caplog, "database is read-only")) == {"lane", "steward"}
    assert told(caplog, "database is read-only").count("steward") == 1
    with connected(server) as db:
        assert value(db, "select max(attempt) from pgqueue.jobs") == 1
        db.execute("truncate pgqueue.job_archive")


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """A file system of a few megabytes that the server may write to."""
    account = accounts.borrowed()
    with home_of_its_own() as home:
        disk = home / "disk"
        disk.mkdir()
        options = f"size={SMALL_BYTES}" + (f",uid={account.pw_uid},gid={account.pw_gid},mode=0700" if account else "")
        made = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", disk], capture_output=True, check=False)
        if made.returncode:
            pytest.skip("a disk that is really full takes the right to mount a small one; run as root, unconfined")
        try:
            yield disk
        finally:
            subprocess.run(["umount", disk], check=True)


def fill(db: psycopg.Connection) -> None:
    """To the last page."""
    while True:
        db.execute("insert into filler select repeat('x', 2000) from generate_series(1, 16)")


async def test_a_full_disk_is_waited_for(small_disk, caplog):
    """`could not extend file`: the worker keeps what it holds, tells it once, and reports when there is room again."""
    go_on, begun = asyncio.Event(), []

    @job
    async def returns_much():
        begun.append(True)
        await go_on.wait()
        return os.urandom(1500).hex()

    with own_server(autovacuum="off") as server:
        server.start()
        with connected(server) as db:
            db.execute(f"create tablespace small location '{small_disk}'")
            db.execute("alter database pgqueue set default_tablespace = small")
        install_schema(server.dsn)
        with connected(server) as db, caplog.at_level(logging.INFO):
            enqueue_many(db, [returns_much.job() for _ in range(200)])
            async with working(server.dsn, queues={"default": 200}, poll=NEVER):
                await until(lambda: len(begun) == 200)
                db.execute("create table filler (blob text)")
                with pytest.raises(psycopg.errors.DiskFull, match="could not extend file"):
                    fill(db)
                go_on.set()
                await until(lambda: "lane" in told(caplog, "database has no disk space left, waiting for it"))
                db.execute("drop table filler")
                await until_all(db)
                await until_asleep(db)

            assert value(db, "select max(attempt) from pgqueue.jobs") == 1
            assert value(db, "select count(*) from pgqueue.workers") == 1
    assert len(begun) == 200
    lanes = [role for role in told(caplog, "database has no disk space left") if role == "lane"]
    assert 1 <= len(lanes) <= 2


async def test_a_server_without_a_free_connection_is_waited_for(server, caplog, noop):
    """Somebody else's pool has them all. The log says so: whoever is on call looks there, not at the network."""
    with contextlib.ExitStack() as taken:
        others = await all_connections(server, taken)
        id = enqueue(others[0], noop.job()).id
        with caplog.at_level(logging.INFO):
            async with working(server.dsn, poll=NEVER):
                await until(lambda: len(told(caplog, "database has too many connections, waiting for it")) == 4)
                for other in others[1:]:
                    other.close()
                await until(lambda: state(others[0], id) == "completed")
                await until_asleep(others[0])

    assert told(caplog, "database has too many connections") == ["bell", "lane", "lane", "steward"]
    assert told(caplog, "not reachable") == []


async def test_a_server_that_stays_away_is_asked_ever_more_seldom(caplog):
    """For a night, by a fleet: no spinning, and no stampede on the server that comes back."""
    tries: list[float] = []

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tries.append(time.monotonic())
        writer.close()

    refuser = await asyncio.start_server(refuse, "127.0.0.1", 0)
    port = refuser.sockets[0].getsockname()[1]
    async with refuser, working(f"host=127.0.0.1 port={port} user=x dbname=x sslmode=disable gssencmode=disable"):
        burned, began = time.process_time(), time.monotonic()
        await until(lambda: time.monotonic() - began > 4)
        elapsed, burned = time.monotonic() - began, time.process_time() - burned

    # 0.1 s, 0.2 s … give or take a quarter: the sixth try comes after 2.3 to 3.9 s, the seventh not before 3.8 s.
    assert 4 * 4 <= len(tries) <= 4 * 7
    assert burned < elapsed / 4
    assert len(told(caplog, "not reachable")) == 4
