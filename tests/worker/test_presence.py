"""Presence: what the view `workers` shows of a worker, and its silence while there is nothing to do."""

import asyncio
import os
import socket

import pytest

import pgqueue
from pgqueue import enqueue, enqueue_many, job
from tests.sql.verbs import row, value
from tests.worker.working import NEVER, connections, until, work, working

pytestmark = pytest.mark.integration


async def test_a_worker_shows_who_it_is_and_what_it_serves(dsn, db):
    """So that somebody on call finds the machine and the process."""
    async with working(dsn, queues={"mail": 3, "billing": 7}):
        worker = await until(lambda: row(db, "select * from pgqueue.workers"))
    gone = row(db, "select * from pgqueue.workers")

    assert (worker.host, worker.pid) == (socket.gethostname(), os.getpid())
    assert worker.name == f"{socket.gethostname()}:{os.getpid()}"
    assert worker.version == pgqueue.__version__
    assert worker.queues == {"mail": 3, "billing": 7}
    assert (worker.state, worker.running, worker.ended_at) == ("running", 0, None)
    assert (gone.id, gone.state) == (worker.id, "stopped")
    assert gone.ended_at >= worker.started_at


async def test_its_beats_move_and_tell_how_many_jobs_run(dsn, db):
    """Every second: what does not move is dead or stuck."""
    go_on = asyncio.Event()

    @job
    async def waits():
        await go_on.wait()

    enqueue_many(db, [waits.job() for _ in range(3)])
    async with working(dsn, name="here"):
        first = await until(lambda: row(db, "select * from pgqueue.workers"))
        second = await until(lambda: row(db, "select * from pgqueue.workers where running = 3"))
        third = await until(
            lambda: row(db, "select * from pgqueue.workers where heartbeat_at > %s", [second.heartbeat_at])
        )
        go_on.set()

    assert first.name == "here"
    assert second.heartbeat_at > first.heartbeat_at
    assert 0.8 < (third.heartbeat_at - second.heartbeat_at).total_seconds() < 10  # what it costs: test_idle


async def test_a_jobs_worker_is_named(dsn, db, noop):
    """Which log to read."""
    id = enqueue(db, noop.job()).id

    await work(dsn, drain=True, name="here")

    assert value(db, "select worker from pgqueue.jobs where id = %s", [id]) == "here"


async def test_a_worker_that_has_nothing_more_to_do_goes_quiet(dsn, db, noop):
    """After a busy time as well as from the start: no statement of its lanes or its bell while it sleeps."""
    last = """select max(greatest(query_start, state_change)) from pg_stat_activity
        where datname = current_database() and application_name in ('pgqueue lane', 'pgqueue bell')"""
    beats = "select heartbeat_at from pgqueue.workers where heartbeat_at > %s"
    async with working(dsn, poll=NEVER, queues={"default": 10, "other": 10}):
        enqueue_many(db, [noop.job() for _ in range(5000)])
        await until(lambda: value(db, "select count(*) from pgqueue.job") == 0)
        settled = value(db, "select clock_timestamp() + interval '0.5 seconds'")
        seen = await until(lambda: value(db, beats, [settled]))
        quiet_since = value(db, last)
        await until(lambda: value(db, beats, [seen]))
        assert value(db, last) == quiet_since
        assert quiet_since < seen
        assert len(connections(db)) == 4
