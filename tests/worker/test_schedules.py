"""Schedules in a running worker: fired by a timer, changed at run time, one at a time."""

import itertools
import logging
import statistics
import time
from datetime import UTC, datetime, timedelta

import pytest

from pgqueue import (
    Job,
    JobContext,
    Schedule,
    cron,
    every,
    job,
    pause_schedule,
    prune_schedules,
    remove_schedule,
    resume_schedule,
    run_schedule,
    schedule,
)
from pgqueue.errors import InvalidSchedule
from tests.sql.schedules import due_since, seen, stored, verb
from tests.sql.schedules import schedule as schedule_in_sql
from tests.sql.verbs import value, values
from tests.worker.working import PATIENCE_SECONDS, drain, until, work, working

pytestmark = pytest.mark.integration


def lines(caplog, what):
    return [record for record in caplog.records if what in record.getMessage()]


async def test_what_the_code_declares_runs_and_knows_its_moment(dsn, db):
    """From the decorator to the handler, with nothing else to do."""
    seen_by = []

    @every(seconds=1)
    @job
    async def ticks(ctx: JobContext):
        seen_by.append((ctx.schedule, ctx.due_at))

    @job
    @cron("@yearly", tz="Europe/Berlin")
    async def rarely(): ...

    async with working(dsn):
        await until(lambda: len(seen_by) >= 3)

    assert {name for name, _ in seen_by} == {"ticks"}
    moments = [moment for _, moment in seen_by]
    assert all(later - earlier == timedelta(seconds=1) for earlier, later in itertools.pairwise(moments))
    next_run = seen(db, "rarely").next_run_at
    assert (next_run.month, next_run.astimezone(UTC).day, next_run.astimezone(UTC).hour) == (12, 31, 23)


async def test_a_job_that_no_schedule_enqueued_has_none(dsn, db):
    """The same handler may be called both ways."""
    seen_by = []

    @job
    async def plain(ctx: JobContext):
        seen_by.append((ctx.schedule, ctx.due_at))

    verb_id = db.execute(
        "select id from pgqueue.enqueue('plain', meta => '{\"schedule\": 5, \"due_at\": 7}')"
    ).fetchone()
    db.execute("select pgqueue.enqueue('plain')")
    await drain(dsn)

    assert verb_id is not None
    assert seen_by == [(None, None)] * 2


async def test_it_fires_by_a_timer(dsn, db, noop):
    """Not at the next look: those are a second apart, so half of them would be late by half a second and more.

    How many milliseconds it is, benchmarks/schedules.py tells: here other tests have the machine too.
    """
    for number in range(8):
        schedule_in_sql(db, f"s{number}", "noop", every="1 second")
    drifts = []
    async with working(dsn):
        await until(lambda: value(db, "select min(runs) from pgqueue.schedule") >= 4)
        drifts = values(db, "select fired_at - due_at from pgqueue.schedule_run")

    assert min(drifts) >= timedelta(0)
    assert statistics.median(drift.total_seconds() for drift in drifts) < 0.3


async def test_one_made_at_run_time_fires_on_its_first_moment(dsn, db, noop):
    """The owner is told and sets its timer, also for an expression from SQL that nobody has counted yet."""
    async with working(dsn):
        await until(lambda: value(db, "select count(*) from pgqueue.workers where state = 'running'"))
        schedule_in_sql(db, "each", "noop", cron="* * * * * *", any_kind=True)
        await until(lambda: stored(db, "each").runs >= 2)
        first = value(db, "select min(due_at) from pgqueue.schedule_run")
        for number in range(6):
            soon = value(db, "select clock_timestamp() + interval '200 ms'")
            schedule_in_sql(db, f"s{number}", "noop", every="1 hour", start_at=soon, any_kind=True)
            await until(lambda: stored(db, f"s{number}").runs)  # noqa: B023
        drifts = values(db, "select extract(epoch from drift)::float from pgqueue.schedules where name <> 'each'")

    assert first - stored(db, "each").created_at < timedelta(seconds=3)
    assert statistics.median(drifts) < 0.3


async def test_a_wrong_expression_from_sql_stops_itself_alone(dsn, db, noop, caplog):
    """Its error is on its row and in the log; the owner and all other schedules go on."""
    schedule_in_sql(db, "bad", "noop", cron="0 9 * * xyz")
    schedule_in_sql(db, "odd", "noop", every="1 second", options={"no_such_option": 1})
    schedule_in_sql(db, "good", "noop", every="1 second")
    with caplog.at_level(logging.INFO):
        async with working(dsn):
            await until(lambda: seen(db, "odd").state == "error" and stored(db, "good").runs >= 2)

    assert (seen(db, "bad").state, seen(db, "good").state) == ("error", "active")
    assert "day of week 'xyz' (field 5) is wrong" in seen(db, "bad").error
    assert "no_such_option" in seen(db, "odd").error
    assert len(lines(caplog, "cannot go on")) == 2


async def test_a_paused_schedule_does_not_fire_and_a_resumed_one_does(dsn, db, noop):
    """At once, though its owner has its timer set."""
    schedule_in_sql(db, "paused", "noop", every="1 second", missed=0)
    schedule_in_sql(db, "other", "noop", every="1 second")
    async with working(dsn):
        await until(lambda: stored(db, "paused").runs)
        pause_schedule(db, "paused")
        runs, others = stored(db, "paused").runs, stored(db, "other").runs
        await until(lambda: stored(db, "other").runs >= others + 3)
        assert stored(db, "paused").runs == runs
        verb(db, "resume_schedule", "paused")
        await until(lambda: stored(db, "paused").runs > runs)


@pytest.mark.parametrize(("missed", "runs"), [("skip", 0), ("once", 1), (3, 3)])
async def test_missed_runs_are_made_up_for_as_the_schedule_says(dsn, db, caplog, missed, runs):
    """Nobody was running for five hours. Each job knows for which moment it is, the oldest starts first."""
    moments = []

    @job
    async def report(ctx: JobContext):
        moments.append(ctx.due_at)

    schedule(db, Schedule("nightly", report.job(), every=3600, missed=missed))
    due_at = due_since(db, "5 hours 1 minute")
    with caplog.at_level(logging.INFO):
        async with working(dsn, queues={"default": 1}):
            await until(lambda: stored(db).next_run_at > datetime.now(UTC))
            await until(lambda: len(moments) == runs)

    assert moments == [due_at + timedelta(hours=6 - runs + n) for n in range(runs)]
    assert (stored(db).next_run_at, stored(db).runs) == (due_at + timedelta(hours=6), runs)
    assert len(lines(caplog, "missed moments")) == 1


async def test_overlap_queue_starts_the_next_run_when_the_one_before_is_over(dsn, db):
    """Never two at once, and none is lost."""
    running, most, moments = 0, 0, []

    @job
    async def slow(ctx: JobContext):
        nonlocal running, most
        running += 1
        most = max(most, running)
        await until(lambda: value(db, "select next_run_at < clock_timestamp() - interval '1 s' from pgqueue.schedule"))
        moments.append(ctx.due_at)
        running -= 1

    schedule(db, Schedule("slow", slow.job(), every=1, overlap="queue", missed="skip"))
    async with working(dsn):
        await until(lambda: len(moments) >= 3)

    assert most == 1
    assert moments == [moments[0] + timedelta(seconds=n) for n in range(len(moments))]


async def test_a_handler_that_blocks_the_loop_does_not_delay_a_schedule(dsn, db, sessions):
    """The owner is a thread of its own."""
    (other,) = sessions(1)
    fired = []

    @every(seconds=1)
    @job(queue="elsewhere")
    async def ticks(): ...

    @job
    async def blocks():
        deadline, begun = time.monotonic() + PATIENCE_SECONDS, stored(other, "ticks").runs
        while stored(other, "ticks").runs < begun + 3 and time.monotonic() < deadline:
            time.sleep(0.05)  # noqa: ASYNC251 (what it must not do is what this is about)
        fired.append(stored(other, "ticks").runs - begun)

    async with working(dsn):
        await until(lambda: stored(db, "ticks") is not None and stored(db, "ticks").runs)
        db.execute("select pgqueue.enqueue('blocks')")
        await until(lambda: fired)

    assert fired[0] >= 3


async def test_one_that_vanished_from_the_code_is_reported_once_and_goes_on(dsn, db, caplog, noop, monkeypatch):
    """Somebody renamed the module: nothing may stop silently."""
    monkeypatch.setattr("pgqueue.worker.leader.VANISHED", 1.0)
    schedule_in_sql(db, "gone", "noop", every="1 second")
    db.execute("update pgqueue.schedule set source = 'code'")
    with caplog.at_level(logging.INFO):
        async with working(dsn):
            await until(lambda: lines(caplog, "in the code of no running worker"))
            runs = stored(db, "gone").runs
            await until(lambda: stored(db, "gone").runs >= runs + 3)

    assert len(lines(caplog, "in the code of no running worker")) == 1
    assert seen(db, "gone").in_code is False


async def test_a_restart_keeps_next_run_and_pause(dsn, db):
    """A deploy every hour must not keep a daily schedule from ever running."""

    @every(hours=24)
    @job
    async def daily(): ...

    async with working(dsn):
        before = await until(lambda: stored(db, "daily"))
    pause_schedule(db, "daily")
    async with working(dsn):
        await until(lambda: seen(db, "daily").in_code)
        assert (stored(db, "daily").next_run_at, seen(db, "daily").state) == (before.next_run_at, "paused")


async def test_a_declaration_that_the_database_refuses_stops_the_worker(dsn, db, monkeypatch):
    """Not a worker that runs without its schedules."""

    @cron("@daily")
    @job
    async def daily(): ...

    db.execute(
        """create function public.refuse() returns trigger language plpgsql as
           $$ begin raise exception using errcode = 'PQ020', message = 'no schedules here'; end; $$"""
    )
    db.execute("create trigger refuse before insert on pgqueue.schedule for each row execute function public.refuse()")

    with pytest.raises(InvalidSchedule, match="no schedules here"):
        await work(dsn, max_time=30)


async def test_a_thousand_schedules_cost_an_idle_fleet_no_query_more(dsn, db, noop):
    """One look into an index per tick, in the trip that asks who leads."""
    db.execute(
        """insert into pgqueue.schedule (name, kind, every, next_run_at)
           select 's' || g, 'noop', '1 hour', clock_timestamp() + '1 hour' from generate_series(1, 1000) g"""
    )
    asked = "select coalesce(sum(idx_tup_read), 0) from pg_stat_user_indexes where indexrelname = 'schedule_due'"
    async with working(dsn):
        await until(lambda: value(db, "select count(*) from pgqueue.workers where state = 'running'"))
        before = value(db, asked)
        beat = value(db, "select heartbeat_at from pgqueue.worker")
        await until(lambda: value(db, "select heartbeat_at from pgqueue.worker") > beat + timedelta(seconds=3))
        assert value(db, asked) - before < 20

    assert values(db, "select distinct runs from pgqueue.schedule") == [0]


async def test_schedules_on_an_async_connection(dsn, adb, db):
    """The same names, awaited."""
    made = await schedule(adb, Schedule("a", Job("noop"), cron="@daily", tz="Asia/Tokyo"))
    assert (made.created, made.next_run_at) == (True, stored(db, "a").next_run_at)
    assert not (await schedule(adb, Schedule("a", Job("noop"), every=60))).created
    await pause_schedule(adb, "a")
    await resume_schedule(adb, "a")
    assert await run_schedule(adb, "a") == value(db, "select id from pgqueue.job")
    await remove_schedule(adb, "a")
    with pytest.raises(InvalidSchedule, match="no worker is running"):
        await prune_schedules(adb)


@pytest.mark.parametrize("driver", ["sqlalchemy", "asyncpg"])
async def test_schedules_on_other_drivers(dsn, db, driver):
    """Whatever the application holds already."""
    wanted = Schedule(
        "a", Job("noop", {"x": [1]}), cron="0 9 * * *", end_at=datetime(2100, 1, 1, tzinfo=UTC), jitter=1.5
    )
    if driver == "asyncpg":
        import asyncpg

        connection = await asyncpg.connect(dsn)
        try:
            await schedule(connection, wanted)
        finally:
            await connection.close()
    else:
        import sqlalchemy

        engine = sqlalchemy.create_engine(dsn.replace("postgresql://", "postgresql+psycopg://"))
        with engine.begin() as connection:
            schedule(connection, wanted)
        engine.dispose()

    assert (stored(db, "a").args, stored(db, "a").end_at.year) == ({"x": [1]}, 2100)
    assert stored(db, "a").next_run_at > datetime.now(UTC)


def test_a_schedule_holds_when_its_transaction_commits(db, sessions):
    """As a job does: rolled back, it never existed."""
    (other,) = sessions(1)
    other.execute("begin")
    schedule(other, Schedule("a", Job("noop"), every=60))
    other.execute("rollback")

    assert values(db, "select name from pgqueue.schedule") == []


async def test_a_schedule_of_an_unknown_kind_is_refused(dsn, db, noop):
    """With the kinds there are: a slip in a name would enqueue jobs that nobody runs, night after night."""
    async with working(dsn):
        await until(lambda: value(db, "select count(*) from pgqueue.workers where state = 'running'"))
        with pytest.raises(
            InvalidSchedule, match="kind noob of schedule a is known to no running worker; they know: noop"
        ):
            schedule(db, Schedule("a", Job("noob"), every=60))
        assert schedule(db, Schedule("a", Job("noob"), every=60), any_kind=True).created
        assert schedule(db, Schedule("b", noop.job(), every=60)).created
