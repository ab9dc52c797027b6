"""The server is away for a minute; a worker holds its breath for half of one. Nobody notices but the log."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Final

import psycopg
import pytest

from pgqueue import Job, enqueue_many
from tests.install import install_schema
from tests.sql.verbs import value, values
from tests.worker.process import LEDGER, Process, process
from tests.worker.server import own_server
from tests.worker.working import until, worker_ids

pytestmark = pytest.mark.chaos

CONNECTIONS: Final = {"lane": 2, "bell": 1, "steward": 1}
SLOTS: Final = 6
HELD_SECONDS: Final = 35
"""Longer than a worker behind a pooler has, whose beats are all that is known of it."""


async def test_a_server_that_is_away_for_long_costs_a_worker_nothing():
    """A major upgrade, a machine that has to be moved. What runs runs on, and is reported when the server is back,
    whether it ended meanwhile or not; the log says once for each connection what is wrong and once that it is over; and
    the machine is left to the others."""
    seconds = float(os.environ.get("PGQUEUE_CHAOS_AWAY_SECONDS") or 20)
    during, beyond = seconds / 2, seconds + 5
    with own_server() as server:
        server.start()
        install_schema(server.dsn)
        with process(server.dsn, queues={"default": SLOTS}, poll=1000) as worker:
            with psycopg.connect(server.dsn, autocommit=True) as db:
                sleeps = [(kind, length) for kind in ("sleeps", "sleeps_sync") for length in (during, beyond)]
                enqueue_many(db, [Job(kind, {"seconds": length}) for kind, length in sleeps])
                await until(lambda: value(db, "select count(*) from pgqueue.jobs where state = 'running'") == 4)
                registered = worker_ids(db)
            await asyncio.to_thread(server.stop)
            burned, began = cpu_seconds(worker.pid), time.monotonic()
            await until(lambda: time.monotonic() - began > seconds, seconds + 60)
            burned, elapsed = cpu_seconds(worker.pid) - burned, time.monotonic() - began
            await asyncio.to_thread(server.start)

            with psycopg.connect(server.dsn, autocommit=True) as db:
                await until(lambda: not value(db, "select count(*) from pgqueue.job"), 60)
                assert values(db, "select state || attempt from pgqueue.jobs") == ["completed1"] * 4
                assert set(values(db, "select result from pgqueue.jobs")) == {worker.pid}
                assert value(db, "select count(*) from pgqueue.attempt") == 0
                await until(lambda: told(worker, "database reachable again").total() == 4, 60)
                assert worker_ids(db) == registered
            worker.signal(signal.SIGTERM)
            assert await asyncio.to_thread(worker.ended, 20) == 0

            assert told(worker, "database not reachable, waiting for it") == CONNECTIONS
            assert told(worker, "database reachable again") == CONNECTIONS
    assert burned < 0.05 * elapsed + 0.5


async def test_a_handler_that_holds_pythons_lock_does_not_make_its_worker_look_dead(dsn, db):
    """A regular expression that backtracks, an extension module: nobody beats meanwhile, but the lock is held. Another
    worker leads and looks. Neither the job nor its neighbour is run twice."""
    db.execute(LEDGER)
    enqueue_many(db, [Job("sleeps", {"seconds": 5}), Job("holds_pythons_lock", {"seconds": HELD_SECONDS})])
    with process(dsn, queues={"other": 1}):
        await until(lambda: len(worker_ids(db)) == 1)
        with process(dsn, queues={"default": 2}) as worker:
            await until(lambda: value(db, "select count(*) from ledger"))
            silence = "select max(clock_timestamp() - heartbeat_at) > %s * interval '1 second' from pgqueue.workers"
            await until(lambda: value(db, silence, [HELD_SECONDS - 2]), HELD_SECONDS + 10)
            await until(lambda: not value(db, "select count(*) from pgqueue.job"), 30)
            assert values(db, "select state || attempt from pgqueue.jobs") == ["completed1"] * 2
            assert set(values(db, "select result from pgqueue.jobs")) == {worker.pid}
            assert len(worker_ids(db)) == 2
            assert "declared dead" not in worker.log


def cpu_seconds(pid: int) -> float:
    """What a process used so far, of user and system time."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def told(worker: Process, message: str) -> Counter[str]:
    """How often each connection's log says so."""
    lines = [json.loads(line) for line in worker.log.splitlines() if line.startswith("{")]
    return Counter(line["connection"] for line in lines if line["event"] == message)
