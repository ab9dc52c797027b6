"""ctx.progress and ctx.log: seen while the job runs, never lost at its end, and never a burden."""

import asyncio
import logging
import math
import threading

import psycopg
import pytest

from pgqueue import JobContext, enqueue, enqueue_many, errors, job
from pgqueue.worker.journal import ALL_LINES_PER_SECOND, LINES_PER_SECOND, MOST_LINES
from tests.databases import with_database
from tests.install import install_schema
from tests.sql.verbs import row, rows, state, value, values
from tests.worker.working import connections, drain, states, until, until_all, working

pytestmark = pytest.mark.integration


def progress(db: psycopg.Connection, id: int) -> tuple[float | None, str | None]:
    found = row(db, "select progress, progress_message from pgqueue.jobs where id = %s", [id])
    return found.progress, found.progress_message


def lines(db: psycopg.Connection, id: int | None = None) -> list[str]:
    return values(
        db,
        "select text from pgqueue.job_logs where %(id)s::bigint is null or job = %(id)s order by job, claims, line",
        {"id": id},
    )


@pytest.mark.parametrize("kind", ["async", "thread"])
async def test_progress_and_lines_are_seen_while_the_job_runs(dsn, db, kind):
    """Of no use afterwards: somebody sits before a screen and waits."""
    halfway, go_on = threading.Event(), threading.Event()

    def say(ctx: JobContext) -> None:
        ctx.progress(0.4, "page 2 of 5")
        ctx.log("page 2 fetched")
        ctx.log("page 3 is empty", level="warning")
        halfway.set()

    @job
    async def fetch_async(ctx: JobContext):
        say(ctx)
        await until(go_on.is_set)

    @job
    def fetch_thread(ctx: JobContext):
        say(ctx)
        go_on.wait(20)

    async with working(dsn):
        id = enqueue(db, (fetch_async if kind == "async" else fetch_thread).job()).id
        await until(lambda: progress(db, id) == (0.4, "page 2 of 5"))
        await until(lambda: lines(db, id) == ["page 2 fetched", "page 3 is empty"])
        assert state(db, id) == "running"
        go_on.set()
        await until(lambda: state(db, id) == "completed")


async def test_last_words_are_never_lost(dsn, db):
    """They go before the outcome, however soon and however the attempt ends."""

    @job(max_attempts=1, timeout=0.05)
    async def says(ctx: JobContext, how: str):
        ctx.progress(0.1, "begun")
        ctx.progress(0.9, how)
        ctx.log(f"last of {ctx.id}")
        if how == "fails":
            raise ValueError(how)
        if how == "hangs":
            await asyncio.sleep(60)

    jobs = enqueue_many(db, [says.job(how) for how in ("returns", "fails", "hangs") for _ in range(100)])
    await drain(dsn, queues={"default": 20})

    assert sorted(set(states(db))) == ["completed", "failed"]
    assert lines(db) == [f"last of {one.id}" for one in jobs]
    shown = [progress(db, jobs[place].id) for place in (0, 100, 200)]
    assert shown == [(0.9, "returns"), (0.9, "fails"), (0.9, "hangs")]


async def test_last_words_of_a_transactional_handler_are_kept(dsn, db):
    """Its outcome is on record before the worker's next word."""

    @job(transactional=True)
    async def says(ctx: JobContext):
        ctx.progress(1, "done")
        ctx.log(f"last of {ctx.id}")

    jobs = enqueue_many(db, [says.job() for _ in range(20)])
    await drain(dsn, queues={"default": 5})

    assert lines(db) == [f"last of {one.id}" for one in jobs]
    assert progress(db, jobs[-1].id) == (1, "done")


async def test_an_attempt_begins_anew_and_the_log_goes_on(dsn, db):
    """What the first attempt said explains why there was a second."""

    @job
    async def twice(ctx: JobContext):
        ctx.log(f"attempt {ctx.attempt}")
        if ctx.attempt == 1:
            ctx.progress(0.7)
            raise ValueError

    id = enqueue(db, twice.job().options(max_attempts=2)).id
    async with working(dsn):
        await until(lambda: state(db, id) == "completed")

    kept = rows(db, "select attempt, line, level, text from pgqueue.job_logs order by claims")
    assert [tuple(line) for line in kept] == [(1, 1, "info", "attempt 1"), (2, 1, "info", "attempt 2")]
    assert progress(db, id) == (None, None)


async def test_a_job_that_talks_all_the_time_is_reported_now_and_then(dsn, db):
    """A progress bar in a tight loop, lines by the ten thousand: neither the database nor the job shall feel it."""

    @job
    def talks(ctx: JobContext):
        for number in range(100_000):
            ctx.progress(number / 100_000)
        for number in range(20_000):
            ctx.log(f"line {number}")
        ctx.progress(1, "done")

    id = enqueue(db, talks.job()).id
    await drain(dsn)

    assert progress(db, id) == (1, "done")
    kept = [line for line in lines(db, id) if line.startswith("line ")]
    more = [int(line.split()[0]) for line in lines(db, id) if line.endswith("lines were written, too many to keep")]
    assert kept[:LINES_PER_SECOND] == [f"line {number}" for number in range(LINES_PER_SECOND)]
    assert len(kept) + sum(more) == 20_000
    assert len(kept) < 20_000
    db.execute("select pg_stat_clear_snapshot()")
    assert value(db, "select count(*) from pgqueue.progress") == 1


async def test_reports_are_counted(dsn, db):
    """One every half second for all jobs of a worker, and one more at the end of each."""
    db.execute("create table told (at timestamptz default clock_timestamp())")
    db.execute(
        """create function count_it() returns trigger language plpgsql as
           'begin insert into told default values; return null; end'"""
    )
    db.execute("create trigger told after insert on pgqueue.progress for each statement execute function count_it()")
    busy = asyncio.Event()

    @job
    async def talks(ctx: JobContext):
        while not busy.is_set():
            ctx.progress(asyncio.get_running_loop().time() % 1)
            await asyncio.sleep(0.001)

    enqueue_many(db, [talks.job() for _ in range(10)])
    async with working(dsn, queues={"default": 10}):
        await until(lambda: value(db, "select count(*) from told") >= 4)
        apart = value(db, "select extract(epoch from max(at) - min(at)) / (count(*) - 1) from told")
        busy.set()
        await until_all(db)

    assert apart > 0.4


async def test_all_jobs_of_a_worker_share_a_limit(dsn, db):
    """A thousand jobs with fifty lines a second each would be a burden all the same."""

    @job
    async def talks(ctx: JobContext):
        for number in range(LINES_PER_SECOND):
            ctx.log(f"line {number}")

    enqueue_many(db, [talks.job() for _ in range(200)])
    async with working(dsn, queues={"default": 200}):
        await until_all(db)

    kept = value(db, "select count(*) from pgqueue.job_logs where text like 'line %%'")
    seconds = value(db, "select extract(epoch from max(at) - min(at)) from pgqueue.job_logs")
    assert kept <= ALL_LINES_PER_SECOND * (float(seconds) + 2)
    assert len([line for line in lines(db) if line.endswith("too many to keep")]) >= 1


async def test_a_job_that_says_nothing_costs_nothing(dsn, db, noop):
    """No round trip, no row: here the verb is not even there."""
    db.execute("drop function pgqueue.report")
    enqueue_many(db, [noop.job() for _ in range(100)])

    await drain(dsn)

    assert set(states(db)) == {"completed"}
    assert value(db, "select count(*) from pgqueue.progress") == 0


async def test_what_cannot_be_stored_hurts_no_job_and_is_said_once(dsn, db, caplog):
    """Trouble with the tables behind it is the operator's, not the handler's."""
    db.execute("drop table pgqueue.job_log cascade")

    @job
    async def says(ctx: JobContext):
        ctx.progress(0.5)
        ctx.log("lost")

    enqueue_many(db, [says.job() for _ in range(20)])
    with caplog.at_level(logging.WARNING):
        await drain(dsn, queues={"default": 1})

    assert set(states(db)) == {"completed"}
    assert [r.getMessage() for r in caplog.records] == ["what jobs say could not be stored"]


async def test_words_survive_a_lost_connection_and_come_once(dsn, db):
    """A failover in the middle of an import."""
    go_on = asyncio.Event()

    @job
    async def says(ctx: JobContext):
        for number in range(40):
            ctx.log(f"line {number}")
            await asyncio.sleep(0.05)
        await go_on.wait()

    id = enqueue(db, says.job()).id
    async with working(dsn):
        for seen in (5, 15, 25):
            await until(lambda seen=seen: len(lines(db, id)) >= seen)
            for pid in connections(db, "lane"):
                db.execute("select pg_terminate_backend(%s)", [pid])
        go_on.set()
        await until(lambda: state(db, id) == "completed")

    assert lines(db, id) == [f"line {number}" for number in range(40)]


async def test_threads_of_one_handler_may_all_talk(dsn, db):
    """A handler with a pool of its own."""

    @job
    def says(ctx: JobContext):
        threads = [threading.Thread(target=ctx.log, args=[f"line {number}"]) for number in range(40)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    id = enqueue(db, says.job()).id
    await drain(dsn)

    assert sorted(lines(db, id)) == sorted(f"line {number}" for number in range(40))


async def test_any_text_can_be_kept(dsn, db):
    """What Postgres refuses is spelled out, what is long is cut."""

    @job
    async def says(ctx: JobContext):
        ctx.log("a\0b")
        ctx.log("lone \ud800")
        ctx.log("two\nlines ü€😀 %s %(x)s", level="ERROR")
        ctx.log(ValueError("an error"), level=logging.CRITICAL)
        ctx.log("")
        ctx.log("x" * 1_000_000)
        ctx.progress(1, "m\0" + "y" * 1_000_000)

    id = enqueue(db, says.job()).id
    await drain(dsn)

    assert state(db, id) == "completed"
    assert lines(db, id)[:5] == ["a\\0b", "lone \\ud800", "two\nlines ü€😀 %s %(x)s", "an error", ""]
    assert lines(db, id)[5] == "x" * 2_000 + "… (998,000 more characters)"
    assert progress(db, id)[1].startswith("m\\0yyy")
    assert values(db, "select level from pgqueue.job_logs order by line") == [
        "info",
        "info",
        "error",
        "critical",
        "info",
        "info",
    ]


async def test_a_database_of_another_encoding_keeps_what_it_can(databases, worker_name):
    """A character that it lacks is spelled out; the line stays."""
    name = f"{databases.prefix}_{worker_name}_latin"
    with psycopg.connect(with_database(databases.dsn, "postgres"), autocommit=True) as server:
        server.execute(f"create database \"{name}\" encoding latin1 lc_collate 'C' lc_ctype 'C' template template0")
    try:
        dsn = with_database(databases.dsn, name)
        install_schema(dsn)

        @job
        async def says(ctx: JobContext):
            ctx.log("ü and €")

        with psycopg.connect(dsn, autocommit=True) as db:
            id = enqueue(db, says.job()).id
            await drain(dsn)
            assert lines(db, id) == ["\\xfc and \\u20ac"]
    finally:
        databases.drop(name)


async def test_it_also_goes_to_the_workers_log_and_the_loggers_methods_only_there(dsn, db, caplog):
    """One line for two readers; debugging for one."""

    @job
    async def says(ctx: JobContext):
        ctx.log("for both", "warning")
        ctx.log.info("for the worker's log %s", "alone")

    with caplog.at_level(logging.INFO):
        id = enqueue(db, says.job()).id
        await drain(dsn)

    assert lines(db, id) == ["for both"]
    both, alone = (r for r in caplog.records if "for " in r.getMessage())
    assert (both.levelname, both.getMessage(), both.fields) == (
        "WARNING",
        "for both",
        {"id": id, "kind": "says", "attempt": 1},
    )
    assert alone.getMessage() == "for the worker's log alone"


async def test_an_attempt_keeps_so_many_lines_and_says_so(dsn, db, monkeypatch):
    """A job that runs for weeks must not fill the disk with what nobody reads."""
    monkeypatch.setattr("pgqueue.worker.journal.MOST_LINES", 10)

    @job
    async def says(ctx: JobContext):
        for number in range(30):
            ctx.log(number)

    id = enqueue(db, says.job()).id
    await drain(dsn)

    assert lines(db, id) == [*map(str, range(10)), "10 lines were written; what follows is not kept"]
    assert MOST_LINES == 10_000


@pytest.mark.parametrize("fraction", [-0.1, 1.1, 40, math.nan, math.inf, "0.5", None, True])
async def test_progress_that_is_no_fraction_is_refused(dsn, db, fraction):
    """Where the mistake is: 40 for 40 % would otherwise be shown as something else."""
    seen = []

    @job
    async def says(ctx: JobContext):
        try:
            ctx.progress(fraction)
        except errors.InvalidReport as error:
            seen.append(str(error))

    enqueue(db, says.job())
    await drain(dsn)

    assert len(seen) == 1
    assert "is out of range; give a number from 0 to 1" in seen[0]


async def test_a_message_or_level_that_is_none_is_refused(dsn, db):
    """The same."""
    seen = []

    @job
    async def says(ctx: JobContext):
        for call in (
            lambda: ctx.progress(0.5, 5),
            lambda: ctx.log("x", "loud"),
            lambda: ctx.log("x", 15),
            lambda: ctx.log("x", None),
        ):
            try:
                call()
            except errors.InvalidReport as error:
                seen.append(str(error).split(";")[0])

    enqueue(db, says.job())
    await drain(dsn)

    assert seen == [
        "the message of progress 5 is a int",
        "log level 'loud' does not exist",
        "log level 15 does not exist",
        "log level None does not exist",
    ]
