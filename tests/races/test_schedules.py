"""A fleet of worker processes with a one-second schedule, whose owner is killed, cut off, frozen and doubled."""

import contextlib
import os
import signal
from datetime import timedelta

import pytest

from tests.sql.schedules import schedule, seen, stored
from tests.sql.verbs import value, values
from tests.worker.process import LEDGER, process
from tests.worker.working import until

pytestmark = pytest.mark.integration

WORKERS = 10
START_SECONDS = 120
"""Ten processes at once, on a machine that is busy with other things."""
TAKEOVER = timedelta(seconds=15)
"""Under five where the machine has time; half a minute and more if nobody saw that the owner is gone."""


async def test_each_moment_fires_exactly_once_whatever_becomes_of_the_owner(dsn, db):
    """Ten workers. The owner is killed, loses its connection, freezes and wakes up; in the end all ten own."""
    db.execute(LEDGER)
    with contextlib.ExitStack() as cleanup:
        fleet = {f"w{n}": cleanup.enter_context(process(dsn, name=f"w{n}")) for n in range(WORKERS)}
        running = "select count(*) from pgqueue.workers where state = 'running'"
        await until(lambda: value(db, running) == WORKERS, START_SECONDS)
        # Should a busy machine let nobody fire for ten seconds, moments count as missed: make up for all of them.
        schedule(db, "tick", "noop", every="1 second", missed=1000, any_kind=True)
        owners = []

        async def runs(more: int) -> None:
            """Until so many more moments have been dealt with."""
            target = stored(db, "tick").runs + more
            await until(lambda: stored(db, "tick").runs >= target, 60)

        async def owned() -> str:
            await until(lambda: seen(db, "tick").owner)
            owners.append(seen(db, "tick").owner)
            return owners[-1]

        await runs(2)
        killed = await owned()
        faults = [value(db, "select clock_timestamp()")]
        fleet[killed].signal(signal.SIGKILL)
        await runs(3)

        await until(lambda: seen(db, "tick").owner not in (None, killed))
        cut_off = await owned()
        faults.append(value(db, "select clock_timestamp()"))
        db.execute(
            """select pg_terminate_backend(k.pid, 5000) from pg_locks k
               where k.locktype = 'advisory' and k.classid = 1885827332 and k.granted
                   and k.database = (select oid from pg_database where datname = current_database())"""
        )
        await runs(3)

        frozen = await owned()
        faults.append(value(db, "select clock_timestamp()"))
        os.kill(fleet[frozen].pid, signal.SIGSTOP)
        try:
            await runs(3)
        finally:
            os.kill(fleet[frozen].pid, signal.SIGCONT)
        await runs(3)

        # From now on everybody believes to be the owner.
        db.execute(
            """create or replace function pgqueue.lead() returns boolean language plpgsql
               as $$ begin return true; end; $$"""
        )
        await runs(5)
        db.execute("select pgqueue.pause_schedule('tick')")
        assert cut_off != killed

        moments = values(
            db,
            "select (meta ->> 'due_at')::timestamptz from pgqueue.job_archive union all "
            "select (meta ->> 'due_at')::timestamptz from pgqueue.job order by 1",
        )
    first, last = moments[0], moments[-1]
    expected = [first + timedelta(seconds=n) for n in range(int((last - first).total_seconds()) + 1)]
    assert moments == expected
    assert stored(db, "tick").runs == len(moments)
    for fault in faults:
        late = value(
            db,
            "select r.fired_at - r.due_at from pgqueue.schedule_run r where r.due_at > %s order by r.due_at limit 1",
            [fault],
        )
        assert late < TAKEOVER


async def test_the_fleet_loses_no_moment_in_a_rolling_deploy(dsn, db):
    """Old workers leave in order, one after the other, while new ones come."""
    with contextlib.ExitStack() as cleanup:
        old = [cleanup.enter_context(process(dsn, name=f"old{n}")) for n in range(2)]
        await until(
            lambda: value(db, "select count(*) from pgqueue.workers where state = 'running'") == 2, START_SECONDS
        )
        schedule(db, "tick", "noop", every="1 second", missed=1000, any_kind=True)
        await until(lambda: stored(db, "tick").runs >= 2)
        cleanup.enter_context(process(dsn, name="new"))
        await until(
            lambda: value(db, "select count(*) from pgqueue.workers where state = 'running'") == 3, START_SECONDS
        )
        for worker in old:
            worker.signal(signal.SIGTERM)
            assert worker.ended(60) == 0
        target = stored(db, "tick").runs + 3
        await until(lambda: stored(db, "tick").runs >= target)
        assert seen(db, "tick").owner == "new"

    moments = values(db, "select due_at from pgqueue.schedule_run order by 1")
    assert moments == [moments[0] + timedelta(seconds=n) for n in range(len(moments))]
