"""Signals: a real process, told to end as systemd and Kubernetes do it."""

import asyncio
import signal

import psycopg
import pytest

from pgqueue import Job, enqueue, enqueue_many
from tests.sql.verbs import row, state, value, values
from tests.worker.process import LEDGER, process
from tests.worker.working import attempts, until


@pytest.fixture(autouse=True)
def ledger(db: psycopg.Connection) -> None:
    db.execute(LEDGER)


def begun(db: psycopg.Connection) -> list[int]:
    return values(db, "select job from ledger where event = 'begin' order by job")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
async def test_a_signal_lets_running_jobs_finish_and_exits_0(dsn, db, number):
    """A deploy, or Ctrl-C: nothing is lost, nothing counts as a failure."""
    id = enqueue(db, Job("waits", {"seconds": 1})).id
    with process(dsn) as worker:
        await until(lambda: begun(db) == [id])
        worker.signal(number)
        assert await asyncio.to_thread(worker.ended) == 0
        log = worker.log

    assert state(db, id) == "completed"
    assert value(db, "select state from pgqueue.workers") == "stopped"
    assert '"event": "worker stopped"' in log
    assert "Traceback" not in log


async def test_a_second_signal_gives_running_jobs_back_at_once(dsn, db):
    """Whoever presses Ctrl-C twice does not want to wait for the grace."""
    id = enqueue(db, Job("waits")).id
    with process(dsn, grace=300) as worker:
        await until(lambda: begun(db) == [id])
        worker.signal(signal.SIGTERM)
        await until(lambda: value(db, "select state from pgqueue.workers") == "stopping")
        assert state(db, id) == "running"
        worker.signal(signal.SIGTERM)
        assert await asyncio.to_thread(worker.ended) == 0

    assert row(db, "select state, attempt from pgqueue.jobs where id = %s", [id]) == ("ready", 0)
    assert attempts(db, id) == []


async def test_it_always_exits_whatever_its_handlers_do(dsn, db):
    """A coroutine that ignores its cancellation, a thread that hangs, a thread of the loop's own that hangs: none of
    them can keep the process; their jobs go back."""
    stubborn = ["ignores_cancellation", "sticks", "sticks_in_a_thread_of_the_loop"]
    ids = [one.id for one in enqueue_many(db, [Job(kind) for kind in stubborn])]
    with process(dsn, grace=0.1) as worker:
        await until(lambda: begun(db) == ids)
        worker.signal(signal.SIGTERM)
        assert await asyncio.to_thread(worker.ended) == 0

    assert values(db, "select state from pgqueue.jobs where attempt = 0") == ["ready"] * 3
    assert value(db, "select state from pgqueue.workers") == "stopped"


async def test_it_exits_though_a_thread_of_the_loop_hangs(dsn, db):
    """asyncio waits for such threads at its end, for ever."""
    id = enqueue(db, Job("sticks_in_a_thread_of_the_loop")).id
    with process(dsn, grace=0.1) as worker:
        await until(lambda: begun(db) == [id])
        worker.signal(signal.SIGTERM)
        assert await asyncio.to_thread(worker.ended) == 0

    assert row(db, "select state, attempt from pgqueue.jobs where id = %s", [id]) == ("ready", 0)


async def test_it_exits_while_the_server_is_away(dsn):
    """It never reached one: nothing to report, nothing to wait for."""
    nowhere = psycopg.conninfo.make_conninfo(dsn, host="/tmp", port=1)
    with process(nowhere, grace=300) as worker:
        await until(lambda: worker.log.count("database not reachable") == 4)
        worker.signal(signal.SIGTERM)
        assert await asyncio.to_thread(worker.ended) == 0
