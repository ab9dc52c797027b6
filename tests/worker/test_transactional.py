"""@job(transactional=True): what the handler writes and its job's completion are committed together, or neither is."""

import asyncio
import contextlib
import threading
from datetime import timedelta

import psycopg
import pytest

from pgqueue import Backoff, Cancel, Discard, JobContext, Retry, Snooze, enqueue, enqueue_many, errors, job
from tests.sql.verbs import A, claim, row, state, value, values
from tests.worker.pooler import MISSING, pooler
from tests.worker.working import attempts, connections, drain, states, until, working

pytestmark = pytest.mark.integration

AT_ONCE = Backoff(base=0)
BOTH = pytest.mark.parametrize("kind", ["async", "sync"])


@pytest.fixture(autouse=True)
def effect(db):
    """The application's table."""
    db.execute("create table effect (job bigint, attempt integer, note text)")


def effects(db):
    return values(db, "select note from effect order by job, attempt")


def writes(kind, body=None, **options):
    """A transactional handler that writes one row, then does what `body` says: sync, or async."""
    insert = "insert into effect values (%s, %s, 'written')"

    async def writes_async(ctx: JobContext):
        await ctx.connection.execute(insert, [ctx.id, ctx.attempt])
        return await body(ctx) if body else None

    def writes_sync(ctx: JobContext):
        ctx.connection.execute(insert, [ctx.id, ctx.attempt])
        return body(ctx) if body else None

    options = {"backoff": AT_ONCE, **options}
    return job(transactional=True, name="writes", **options)(writes_async if kind == "async" else writes_sync)


def once(ctx):
    """Whether this is the first attempt."""
    return ctx.attempt == 1


@BOTH
async def test_writes_and_completion_are_committed_together(dsn, db, kind):
    """Exactly once, in this database; and what it returned is kept."""

    def answer(ctx):
        return {"attempt": ctx.attempt}

    async def answer_async(ctx):
        assert isinstance(ctx.connection, psycopg.AsyncConnection)
        return answer(ctx)

    task = writes(kind, answer if kind == "sync" else answer_async)
    enqueue_many(db, [task.job() for _ in range(5)])

    await drain(dsn)

    assert states(db) == ["completed"] * 5
    assert effects(db) == ["written"] * 5
    assert values(db, "select result from pgqueue.jobs") == [{"attempt": 1}] * 5
    together = """select count(*) from effect e join pgqueue.job_archive_completed a
        on a.id = e.job and a.xmin = e.xmin"""
    assert value(db, together) == 5


@BOTH
async def test_an_error_undoes_what_was_written(dsn, db, kind):
    """The next attempt starts from nothing."""

    def fails_once(ctx):
        if once(ctx):
            raise ValueError("not yet")

    async def fails_once_async(ctx):
        fails_once(ctx)

    id = enqueue(db, writes(kind, fails_once if kind == "sync" else fails_once_async).job()).id

    await drain(dsn)

    assert attempts(db, id) == [(1, "ValueError: not yet")]
    assert row(db, "select job, attempt from effect") == (id, 2)


@BOTH
@pytest.mark.parametrize("how", ["raised", "returned"])
@pytest.mark.parametrize(
    ("said", "ends"),
    [(Retry(3600), "scheduled"), (Snooze(3600), "scheduled"), (Cancel("no"), "cancelled"), (Discard("no"), "failed")],
)
async def test_what_it_says_of_its_job_is_recorded_after_a_rollback(dsn, db, kind, how, said, ends):
    """Only a job that completes has written anything."""

    def says(ctx):
        if how == "raised":
            raise said
        return said

    async def says_async(ctx):
        return says(ctx)

    enqueue(db, writes(kind, says if kind == "sync" else says_async).job())

    await drain(dsn)

    assert (states(db), effects(db)) == ([ends], [])


async def test_jobs_it_enqueues_are_committed_with_it(dsn, db):
    """No half-done chain: the next link is there exactly if this one is done."""

    @job(transactional=True, backoff=AT_ONCE)
    async def link(ctx: JobContext, number: int):
        if number:
            await enqueue(ctx.connection, link.job(number - 1))
        await ctx.connection.execute("insert into effect values (%s, %s, %s)", [ctx.id, ctx.attempt, str(number)])
        if once(ctx):
            raise ValueError("after the next link was enqueued")

    enqueue(db, link.job(3))
    async with working(dsn):
        await until(lambda: states(db) == ["completed"] * 4)

    assert effects(db) == ["3", "2", "1", "0"]


@BOTH
async def test_a_claim_that_was_lost_undoes_all_of_it(dsn, db, kind, caplog):
    """It was declared dead while it was at work: another has the job, and writes it."""

    def loses_its_claim(ctx):
        if once(ctx):
            with psycopg.connect(dsn) as other:  # in one transaction: its own worker must not be faster
                held = row(other, "select worker, claims from pgqueue.job where id = %s", [ctx.id])
                released = "select * from pgqueue.release(%s, array[%s], array[%s])"
                other.execute(released, [held.worker, ctx.id, held.claims])
                claim(other, A)
                other.execute("update pgqueue.job set worker = %s where id = %s", [A, ctx.id])

    async def loses_its_claim_async(ctx):
        loses_its_claim(ctx)

    id = enqueue(db, writes(kind, loses_its_claim if kind == "sync" else loses_its_claim_async).job()).id
    async with working(dsn):
        await until(lambda: "the claim on the job was lost" in caplog.text)

    assert effects(db) == []
    assert value(db, "select worker from pgqueue.job where id = %s", [id]) == A
    assert attempts(db, id) == []


@BOTH
async def test_a_worker_that_was_declared_dead_commits_nothing(dsn, db, kind):
    """Its handler may go on for long before it hears of it. The next run writes, once."""
    begun, go_on = threading.Event(), threading.Event()

    def waits_at_first(ctx):
        if once(ctx):
            begun.set()
            go_on.wait(20)

    async def waits_at_first_async(ctx):
        if once(ctx):
            begun.set()
            await until(go_on.is_set)

    id = enqueue(db, writes(kind, waits_at_first if kind == "sync" else waits_at_first_async).job()).id
    async with working(dsn, queues={"default": 2}):
        await until(begun.is_set)
        db.execute("update pgqueue.worker set died_at = now(), heartbeat_at = now() - interval '1 hour'")
        held = row(db, "select worker, claims from pgqueue.job")
        db.execute(
            "select pgqueue.fail(%s, array[%s], array[%s], '{died}', '{null}', '{0 s}')", [held.worker, id, held.claims]
        )
        await until(lambda: state(db, id) == "completed")
        go_on.set()

    assert row(db, "select array_agg(attempt) from effect") == ([2],)


@BOTH
@pytest.mark.parametrize("when", ["in the handler", "before the commit"])
async def test_a_connection_that_is_lost_leaves_nothing(dsn, db, kind, when):
    """The server rolls back; the attempt counts as failed, and the next one has a new connection."""

    def cut(ctx):
        if once(ctx):
            pid = ctx.connection.info.backend_pid
            if when == "before the commit":
                ctx.connection.execute("create temp table t (n int primary key deferrable initially deferred)")
                ctx.connection.execute("insert into t values (1), (1)")
            else:
                db.execute("select pg_terminate_backend(%s, 5000)", [pid])

    async def cut_async(ctx):
        if once(ctx):
            if when == "before the commit":
                await ctx.connection.execute("create temp table t (n int primary key deferrable initially deferred)")
                await ctx.connection.execute("insert into t values (1), (1)")
            else:
                db.execute("select pg_terminate_backend(%s, 5000)", [ctx.connection.info.backend_pid])

    id = enqueue(db, writes(kind, cut if kind == "sync" else cut_async).job()).id

    await drain(dsn)

    assert len(attempts(db, id)) == 1
    assert row(db, "select job, attempt from effect") == (id, 2)
    assert states(db) == ["completed"]


@BOTH
async def test_a_commit_whose_answer_is_lost_is_not_done_again(dsn, db, kind, monkeypatch, caplog):
    """It took place: the report that it failed is fenced."""
    from pgqueue.worker import held

    def breaks(commit):
        def committed(self):
            commit(self)
            self.pgconn.finish()
            raise psycopg.OperationalError("the answer was lost")

        async def committed_async(self):
            await commit(self)
            self.pgconn.finish()
            raise psycopg.OperationalError("the answer was lost")

        return committed if kind == "sync" else committed_async

    connection = held.HeldConnection if kind == "sync" else held.HeldAsyncConnection
    monkeypatch.setattr(connection, "commit", breaks(connection.commit))
    enqueue(db, writes(kind).job())

    await drain(dsn)

    assert (states(db), effects(db)) == (["completed"], ["written"])
    assert "the claim on the job was lost" in caplog.text


@BOTH
@pytest.mark.parametrize("how", ["commit", "rollback", "execute commit", "execute rollback", "close", "with"])
async def test_a_handler_that_ends_the_transaction_itself_fails_for_good(dsn, db, kind, how):
    """It would break the promise without anybody noticing. Another attempt would only do it again."""

    def ends(ctx):
        connection = ctx.connection
        match how:
            case "execute commit" | "execute rollback":
                return connection.execute(how.split()[1])
            case "with":
                end = connection.__aexit__ if kind == "async" else connection.__exit__
                return end(None, None, None)
            case _:
                return getattr(connection, how)()

    async def ends_async(ctx):
        await ends(ctx)

    def ends_sync(ctx):
        ends(ctx)

    id = enqueue(db, writes(kind, ends_sync if kind == "sync" else ends_async).job()).id

    await drain(dsn)

    ((attempt, error),) = attempts(db, id)
    assert (attempt, states(db)) == (1, ["failed"])
    assert error.startswith("TransactionEnded: ")
    assert effects(db) == (["written"] if how == "execute commit" else [])


async def test_a_savepoint_undoes_a_part(dsn, db):
    """The rest is committed; and an SQL error inside of it is no end."""

    @job(transactional=True)
    async def tries(ctx: JobContext):
        await ctx.connection.execute("insert into effect values (%s, 1, 'kept')", [ctx.id])
        with contextlib.suppress(psycopg.errors.DivisionByZero):
            async with ctx.connection.transaction():
                await ctx.connection.execute("insert into effect values (%s, 1, 'undone')", [ctx.id])
                await ctx.connection.execute("select 1 / 0")

    enqueue(db, tries.job())

    await drain(dsn)

    assert (states(db), effects(db)) == (["completed"], ["kept"])


async def test_an_sql_error_that_was_swallowed_is_told(dsn, db):
    """The server has given up the transaction: to complete the job would record a lie."""

    @job(transactional=True, max_attempts=1)
    async def swallows(ctx: JobContext):
        with pytest.raises(psycopg.errors.DivisionByZero):
            await ctx.connection.execute("select 1 / 0")

    id = enqueue(db, swallows.job()).id

    await drain(dsn)

    assert "caught an SQL error" in attempts(db, id)[0][1]


@BOTH
async def test_a_timeout_rolls_back_and_no_transaction_lingers(dsn, db, kind):
    """Neither its query nor its locks outlive it, even if its thread does."""
    go_on = threading.Event()

    def sleeps(ctx):
        if once(ctx):
            try:
                ctx.connection.execute("select pg_sleep(60)")
            finally:
                go_on.wait(20)

    async def sleeps_async(ctx):
        if once(ctx):
            await ctx.connection.execute("select pg_sleep(60)")

    task = writes(kind, sleeps if kind == "sync" else sleeps_async, timeout=1)
    id = enqueue(db, task.job()).id
    async with working(dsn):
        await until(lambda: attempts(db, id) == [(1, "JobTimeout: stopped after 1 s, its timeout")])
        await until(lambda: not values(db, "select pid from pg_stat_activity where query = 'select pg_sleep(60)'"))
        go_on.set()
        await until(lambda: state(db, id) == "completed")

    assert row(db, "select array_agg(attempt) from effect") == ([2],)


@BOTH
async def test_a_thread_or_handler_that_goes_on_after_its_timeout_writes_nothing(dsn, db, kind):
    """A thread cannot be stopped, its connection can."""
    begun, go_on, late = threading.Event(), threading.Event(), []

    def begin():
        """An attempt may be over before it comes here, if the server is slow; the one that does is the last but one."""
        if begun.is_set():
            raise Discard
        begun.set()

    def goes_on(ctx):
        begin()
        go_on.wait(60)
        try:
            ctx.connection.execute("insert into effect values (0, 0, 'late')")
        except psycopg.OperationalError as error:
            late.append(error)

    async def goes_on_async(ctx):
        begin()
        await asyncio.sleep(60)

    id = enqueue(db, writes(kind, goes_on if kind == "sync" else goes_on_async, timeout=1, max_attempts=100).job()).id
    async with working(dsn):
        await until(lambda: state(db, id) == "failed")
        go_on.set()
        await until(lambda: late or kind == "async")

    assert effects(db) == []


async def test_a_worker_that_is_stopped_gives_the_job_back_with_nothing_written(dsn, db):
    """A deploy in the middle."""
    begun = asyncio.Event()

    async def waits(ctx):
        begun.set()
        await asyncio.sleep(60 if once(ctx) else 0)

    id = enqueue(db, writes("async", waits).job()).id
    async with working(dsn):
        await asyncio.wait_for(begun.wait(), 20)

    assert (state(db, id), effects(db)) == ("ready", [])
    assert connections(db, "handler") == []


async def test_the_next_job_finds_the_connection_as_new(dsn, db):
    """Settings, roles, locks, temporary tables: what one handler leaves must not reach the next."""
    seen = []
    look = """select
        current_setting('search_path'), current_user = session_user,
        to_regclass('pg_temp.left_over') is null,
        (select count(*) from pg_locks where pid = pg_backend_pid() and locktype = 'advisory')"""

    @job(transactional=True)
    async def leaves_things(ctx: JobContext):
        seen.append((ctx.connection.info.backend_pid, *await (await ctx.connection.execute(look)).fetchone()))
        ctx.connection.row_factory = psycopg.rows.dict_row
        await ctx.connection.execute("create temp table left_over (n integer)")
        await ctx.connection.execute("select pg_advisory_lock(1)")
        await ctx.connection.execute("create role exact_test_role")
        await ctx.connection.execute("set role exact_test_role")
        await ctx.connection.execute("set search_path = nowhere")
        await ctx.connection.execute("reset role")
        await ctx.connection.execute("drop role exact_test_role")

    enqueue_many(db, [leaves_things.job() for _ in range(2)])

    await drain(dsn, queues={"default": 1}, connections=1)

    assert states(db) == ["completed"] * 2
    assert seen[0] == seen[1] == (seen[0][0], '"$user", public', True, True, 0)


async def test_it_may_choose_its_isolation_level(dsn, db):
    """Nothing has looked at the database before the handler does."""

    @job(transactional=True)
    async def serializable(ctx: JobContext):
        await ctx.connection.execute("set transaction isolation level serializable")
        return (await (await ctx.connection.execute("show transaction_isolation")).fetchone())[0]

    enqueue_many(db, [serializable.job(), serializable.job()])

    await drain(dsn)

    assert values(db, "select result from pgqueue.jobs") == ["serializable"] * 2


async def test_never_more_connections_than_it_was_given(dsn, db):
    """Whoever runs a fleet must know how many there can be. Jobs wait for one in their slots."""
    at_once, most, all_there = set(), [], asyncio.Event()

    @job(transactional=True)
    async def looks_async(ctx: JobContext):
        at_once.add(ctx.id)
        most.append(len(at_once))
        if len(at_once) == 3:
            all_there.set()
        await asyncio.wait_for(all_there.wait(), 20)
        await until(lambda: len(connections(db, "handler")) <= 3)  # one that was closed may take a moment to go
        at_once.remove(ctx.id)

    @job(transactional=True)
    def looks_sync(ctx: JobContext):
        at_once.add(ctx.id)
        most.append(len(at_once))
        ctx.connection.execute("select 1")
        at_once.remove(ctx.id)

    enqueue_many(db, [task.job() for _ in range(15) for task in (looks_async, looks_sync)])

    await drain(dsn, queues={"default": 20}, connections=3)

    assert set(states(db)) == {"completed"}
    assert max(most) == 3


async def test_others_have_no_connection_and_open_none(dsn, db):
    """Who does not ask for it does not pay for it."""
    told = []

    @job
    async def plain(ctx: JobContext):
        told.append(connections(db, "handler"))
        with pytest.raises(errors.ConfigurationError, match="plain is not transactional"):
            _ = ctx.connection

    enqueue(db, plain.job())

    await drain(dsn)

    assert (states(db), told) == (["completed"], [[]])


def test_only_yes_or_no():
    """`transactional="serializable"` looks as if it did something."""
    with pytest.raises(errors.ConfigurationError, match="transactional"):
        job(name="x", transactional="serializable")(lambda: None)


async def test_a_result_that_cannot_be_stored_undoes_all_of_it(dsn, db):
    """The job fails, so nothing of it may stay."""

    async def huge(ctx):
        return "x" * 2_000_000

    id = enqueue(db, writes("async", huge).job()).id

    await drain(dsn)

    assert (states(db), effects(db)) == (["failed"], [])
    assert attempts(db, id)[0][1].startswith("InvalidResult: ")


@pytest.mark.skipif(MISSING, reason="this test runs through a real PgBouncer; install pgbouncer")
@BOTH
async def test_it_works_through_a_pooler(dsn, db, kind):
    """Nothing of it is state of a session."""
    with pooler(dsn) as pooled:
        enqueue_many(db, [writes(kind).job().options(delay=timedelta(0)) for _ in range(20)])
        await drain(pooled, direct_dsn=dsn)

    assert (states(db), effects(db)) == (["completed"] * 20, ["written"] * 20)


@BOTH
@pytest.mark.parametrize(
    ("said", "ended"),
    [(Snooze(1000), "scheduled"), (Retry(1000), "scheduled"), (Cancel("withdrawn"), "cancelled"), (Discard, "failed")],
)
@pytest.mark.parametrize("returned", [True, False])
async def test_what_a_handler_says_of_its_job_undoes_its_writes(dsn, db, kind, said, ended, returned):
    """Only a completed job has done what it did; it would do it again after a snooze."""

    def say(ctx):
        if not returned:
            raise said
        return said

    async def say_async(ctx):
        return say(ctx)

    enqueue(db, writes(kind, say if kind == "sync" else say_async).job())

    await drain(dsn)

    assert (states(db), effects(db)) == ([ended], [])
