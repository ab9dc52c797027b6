"""Connections that are open here and dead there: noticed within half a minute, and never where there is none."""

import asyncio
import logging
import threading
import time
from collections.abc import Iterator

import psycopg
import pytest

from pgqueue import Backoff, JobContext, enqueue, enqueue_many, job
from pgqueue.worker import loop, watch
from pgqueue.worker.link import Link
from tests.sql.verbs import state, value
from tests.worker.server import through
from tests.worker.test_server import told
from tests.worker.working import NEVER, connections, until, until_all, until_asleep, worker_ids, working

NOTICED_WITHIN_SECONDS = 30
DEAD = "nobody works on it"


@pytest.fixture
def dsn(tcp_dsn: str) -> str:
    """`db` is past the network."""
    return tcp_dsn


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> list[bool | None]:
    """A watch that asks ten times as soon. What it was told, so far."""
    monkeypatch.setattr(watch, "LATE", 0.5)
    monkeypatch.setattr(watch, "TICK", 0.2)
    answers: list[bool | None] = []
    judge = watch.Watch._judge

    def heard(self: watch.Watch, link: object, at_work: bool | None) -> None:
        answers.append(at_work)
        judge(self, link, at_work)

    monkeypatch.setattr(watch.Watch, "_judge", heard)
    return answers


def causes(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What the log says of each trouble."""
    return [str(record.fields["error"]) for record in caplog.records if "waiting for it" in record.getMessage()]


async def test_half_open_connections_of_a_worker_that_sleeps_are_noticed_within_half_a_minute(
    network, db, caplog, record_property, noop
):
    """A proxy whose other side is gone acknowledges for ever what it passes on to nobody. Each kind of connection is
    opened again, the sessions it had end in the server, and the worker stays who it is."""
    line = network.line()
    with caplog.at_level(logging.INFO):
        async with working(through(line), poll=NEVER):
            await until_asleep(db)
            (worker,) = worker_ids(db)
            await until(lambda: value(db, "select count(*) from pg_stat_activity where query like '%lead%'"))
            before = {role: connections(db, role) for role in ("lane", "bell", "steward")}
            assert {role: len(pids) for role, pids in before.items()} == {"lane": 2, "bell": 1, "steward": 1}
            line.strand()
            began = time.monotonic()
            for role in ("steward", "bell", "lane"):
                await until(
                    lambda role=role: (
                        len(pids := connections(db, role)) == len(before[role]) and {*pids}.isdisjoint(before[role])
                    ),
                    NOTICED_WITHIN_SECONDS - (time.monotonic() - began),
                )
                record_property(f"{role}_seconds", round(time.monotonic() - began, 1))
            await until_asleep(db)
            id = enqueue(db, noop.job()).id
            await until(lambda: state(db, id) == "completed")
            assert worker_ids(db) == [worker]

    assert told(caplog, "not reachable") == ["bell", "lane", "lane", "steward"]
    assert all(DEAD in cause for cause in causes(caplog))


async def test_the_server_lets_go_of_a_machine_that_vanished_within_half_a_minute(tcp_dsn):
    """It would wait for two hours, and meanwhile keep the locks by which the worker lives, leads and sleeps."""
    asked = "select name, setting::integer from pg_settings where name ~ '^tcp_(keepalives|user)'"
    async with await psycopg.AsyncConnection.connect(tcp_dsn, autocommit=True) as connection:
        await Link("steward", tcp_dsn).meet(connection)
        found = dict(await (await connection.execute(asked)).fetchall())

    alone = found["tcp_keepalives_idle"] + found["tcp_keepalives_interval"] * found["tcp_keepalives_count"]
    assert 0 < alone <= NOTICED_WITHIN_SECONDS
    assert 0 < found["tcp_user_timeout"] <= NOTICED_WITHIN_SECONDS * 1000


async def test_what_a_half_open_lane_was_about_to_hand_in_is_reported_on_the_next(network, db, caplog, impatient):
    """And what it asked for is claimed there: nothing is lost, nothing runs twice."""
    go_on, ran = asyncio.Event(), []

    @job
    async def waits(number: int):
        ran.append(number)
        await go_on.wait()

    lanes, rest = network.line(), network.line()
    enqueue_many(db, [waits.job(number) for number in range(6)])
    with caplog.at_level(logging.INFO):
        async with working(through(lanes), direct_dsn=through(rest), queues={"default": 3}, poll=NEVER):
            await until(lambda: len(ran) == 3)
            lanes.strand()
            go_on.set()
            await until_all(db)

    assert sorted(ran) == list(range(6))
    assert value(db, "select max(attempt) from pgqueue.jobs") == 1
    assert DEAD in causes(caplog)[0]


async def test_a_server_that_is_only_slow_is_waited_for(network, db, caplog, impatient, noop):
    """A lock, a checkpoint, too much to do: giving up would only add to it."""
    line = network.line()
    with psycopg.connect(db.info.dsn) as other, caplog.at_level(logging.INFO):
        async with working(through(line), poll=NEVER):
            await until_asleep(db)
            lanes = connections(db, "lane")
            id = enqueue(db, noop.job()).id
            other.execute("lock pgqueue.job_archive in access exclusive mode")
            await until(lambda: impatient.count(True) >= 5)
            heard = set(impatient)  # later one may be asked after whose answer is on its way
            other.rollback()
            await until(lambda: state(db, id) == "completed")
            assert connections(db, "lane") == lanes

    assert heard == {True}
    assert causes(caplog) == []


async def test_an_answer_that_nobody_reads_because_the_loop_is_blocked_alarms_nobody(
    network, db, caplog, impatient, noop
):
    """A common mistake in async code, of whole minutes at times. It is not the connection that is dead."""

    @job
    async def blocks_the_loop():
        time.sleep(2)  # noqa: ASYNC251

    line = network.line()
    ids = [one.id for one in enqueue_many(db, [noop.job(), blocks_the_loop.job(), noop.job()])]
    with caplog.at_level(logging.INFO):
        async with working(through(line), queues={"default": 1}, poll=NEVER):
            await until(lambda: all(state(db, id) == "completed" for id in ids))

    assert causes(caplog) == []


async def test_a_network_that_passes_nothing_at_all_is_told_as_out_of_reach(network, db, caplog, monkeypatch, noop):
    """New connections get no answer either. The worker says so once, and works on when it passes again."""
    monkeypatch.setattr(watch, "LATE", 0.5)
    monkeypatch.setattr(watch, "OUT_OF_REACH", 1.0)
    monkeypatch.setattr(watch, "ASK_WITHIN", 2)
    line = network.line()
    with caplog.at_level(logging.INFO):
        async with working(f"{through(line)}?connect_timeout=2", poll=NEVER):
            await until_asleep(db)
            (worker,) = worker_ids(db)
            line.silent = True
            await until(lambda: "steward" in told(caplog, "not reachable"))
            line.reset()
            line.heal()
            id = enqueue(db, noop.job()).id
            await until(lambda: "steward" in told(caplog, "reachable again"))
            await until(lambda: state(db, id) == "completed", NOTICED_WITHIN_SECONDS)
            assert worker_ids(db) == [worker]

    assert told(caplog, "not reachable").count("steward") == 1


async def test_an_exchange_that_outlives_its_connection_strands_no_job(network, db, monkeypatch):
    """It waits for a lock when the network breaks, and the server does not notice. Were it to commit after the worker
    has told what it holds, its jobs would be held by a worker that never heard of them."""
    monkeypatch.setattr(loop, "LANES", 1)  # another lane that reconnects later would make up for it
    go_on, ran = asyncio.Event(), []

    @job
    async def waits(number: int):
        ran.append(number)
        await go_on.wait()

    line = network.line()
    ids = [one.id for one in enqueue_many(db, [waits.job(number) for number in range(2)])]
    blocked = """select pid from pg_stat_activity
        where application_name = 'pgqueue lane' and wait_event_type = 'Lock'"""
    with psycopg.connect(db.info.dsn) as other:
        async with working(through(line), queues={"default": 1}, poll=NEVER):
            await until(lambda: ran)
            other.execute("select from pgqueue.job where id = %s for update", [ids[0]])
            go_on.set()
            (old,) = await until(lambda: db.execute(blocked).fetchall())
            line.reset()
            await until(lambda: set(db.execute(blocked).fetchall()) - {old})
            other.rollback()
            await until_all(db)

    assert ran == [0, 1]


@pytest.fixture
def effect(db: psycopg.Connection) -> Iterator[None]:
    """The application's table. Its key makes a second attempt wait for what the first left open."""
    db.execute("create table effect (key integer primary key, attempt integer)")
    yield
    db.execute("drop table effect")


def writes(kind: str, then: str, ready: threading.Event, go_on: threading.Event):
    """A transactional handler that writes a row, at its first attempt waits, and asks something."""
    insert = "insert into effect values (%s, %s)"

    async def writes_async(ctx: JobContext, key: int):
        await ctx.connection.execute(insert, [key, ctx.attempt])
        if ctx.attempt == 1:
            ready.set()
            await asyncio.to_thread(go_on.wait, 60)
        await ctx.connection.execute(then)

    def writes_sync(ctx: JobContext, key: int):
        ctx.connection.execute(insert, [key, ctx.attempt])
        if ctx.attempt == 1:
            ready.set()
            go_on.wait(60)
        ctx.connection.execute(then)

    handler = writes_async if kind == "async" else writes_sync
    return job(transactional=True, name="writes", backoff=Backoff(base=0))(handler)


@pytest.mark.usefixtures("effect")
@pytest.mark.parametrize("kind", ["async", "sync"])
async def test_a_transactional_job_on_a_half_open_connection_is_tried_again_on_another(network, db, impatient, kind):
    """It would hold its slot for ever, and its session in the server what it had locked."""
    handlers, rest = network.line(), network.line()
    ready, go_on = threading.Event(), threading.Event()
    id = enqueue(db, writes(kind, "select 1", ready, go_on).job(1)).id
    async with working(through(handlers), direct_dsn=through(rest), queues={"default": 1}, poll=NEVER):
        await until(ready.is_set)
        handlers.strand()
        go_on.set()
        await until(lambda: state(db, id) == "completed")

    assert db.execute("select key, attempt from effect").fetchall() == [(1, 2)]


@pytest.mark.usefixtures("effect")
@pytest.mark.parametrize("kind", ["async", "sync"])
async def test_a_connection_that_went_half_open_while_it_lay_in_the_pool_costs_an_attempt_at_most(
    network, db, impatient, kind
):
    """Nobody knows before it is used."""
    handlers, rest = network.line(), network.line()
    go_on = threading.Event()
    go_on.set()
    task = writes(kind, "select 1", threading.Event(), go_on)
    async with working(through(handlers), direct_dsn=through(rest), queues={"default": 1}, poll=NEVER) as worker:
        before = enqueue(db, task.job(1)).id
        await until(lambda: state(db, before) == "completed" and worker._pool and worker._pool._idle)
        handlers.strand()
        after = enqueue(db, task.job(2)).id
        await until(lambda: state(db, after) == "completed")

    assert db.execute("select key, attempt from effect order by key").fetchall() == [(1, 1), (2, 2)]


@pytest.mark.usefixtures("effect")
@pytest.mark.parametrize("kind", ["async", "sync"])
async def test_what_a_handler_asks_may_take_any_time(network, db, caplog, impatient, kind):
    """Only we ask what is answered soon. A report may take an hour."""
    line = network.line()
    ready, go_on = threading.Event(), threading.Event()
    go_on.set()
    id = enqueue(db, writes(kind, "select pg_sleep(3)", ready, go_on).job(1)).id
    async with working(through(line), queues={"default": 1}, poll=NEVER):
        await until(lambda: state(db, id) == "completed")

    assert db.execute("select key, attempt from effect").fetchall() == [(1, 1)]
    assert True in impatient
    assert causes(caplog) == []


@pytest.mark.usefixtures("effect", "hasty")
@pytest.mark.parametrize("kind", ["async", "sync"])
async def test_a_worker_ends_whose_handler_waits_on_a_half_open_connection(network, db, kind):
    """Also before anybody has noticed. The server rolls back, and another worker runs the job."""
    handlers, rest = network.line(), network.line()
    ready, go_on = threading.Event(), threading.Event()
    id = enqueue(db, writes(kind, "select 1", ready, go_on).job(1)).id
    async with working(through(handlers), direct_dsn=through(rest), queues={"default": 1}, poll=NEVER) as worker:
        await until(ready.is_set)
        handlers.strand()
        go_on.set()
        await until(lambda: worker._pool and any(link.waits_for() > 0.2 for link in worker._pool.links))

    assert state(db, id) in ("ready", "scheduled")
    assert db.execute("select count(*) from effect").fetchone() == (0,)
