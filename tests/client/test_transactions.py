"""A job lives and dies with the caller's transaction, on every kind of connection."""

from datetime import UTC, datetime, timedelta

import pytest

from pgqueue import Enqueued, Job

pytestmark = pytest.mark.integration


async def test_a_commit_makes_the_job_exist(caller, db, kinds_of_jobs):
    """And nobody sees it before: the row it belongs to is not there yet either."""
    enqueued = await caller.enqueue(Job("charge", {"invoice_id": 42}, queue="billing", priority=2))
    assert kinds_of_jobs() == []

    await caller.commit()
    assert db.execute("select id, kind, args, queue, priority, state from pgqueue.jobs").fetchall() == [
        (enqueued.id, "charge", {"invoice_id": 42}, "billing", 2, "ready")
    ]
    assert enqueued == Enqueued(enqueued.id, created=True)


async def test_a_rollback_means_it_never_existed(caller, db, kinds_of_jobs):
    """Together with the caller's own rows."""
    await caller.execute("create table invoice ()")
    await caller.enqueue(Job("charge"))
    await caller.enqueue_many([Job("receipt"), Job("receipt")])
    await caller.rollback()

    assert kinds_of_jobs() == []
    assert db.execute("select to_regclass('invoice')").fetchone() == (None,)


async def test_many_jobs_come_with_one_commit_in_their_order(caller, kinds_of_jobs):
    """`zip(jobs, enqueued)` is how an application remembers which is which."""
    enqueued = await caller.enqueue_many([Job(f"job{number}") for number in range(50)])
    assert kinds_of_jobs() == []

    await caller.commit()
    assert kinds_of_jobs() == [f"job{number}" for number in range(50)]
    assert [one.id for one in enqueued] == sorted(one.id for one in enqueued)


async def test_the_connection_stays_the_callers(caller, kinds_of_jobs):
    """Nothing was committed, closed or left half-read: it goes on as if we had not been there."""
    await caller.enqueue(Job("first"))
    await caller.execute("create table invoice ()")
    await caller.enqueue(Job("second"))
    await caller.execute("insert into invoice default values")
    await caller.commit()

    assert kinds_of_jobs() == ["first", "second"]


async def test_every_option_arrives(caller, db):
    """One statement carries them all, however the driver spells its parameters."""
    moment = datetime(2040, 5, 17, 12, 0, 0, 123456, tzinfo=UTC)
    job = Job("charge", {"näme": "O'Neil %s :x $1 \\"}, queue="q", priority=0, max_attempts=3, timeout=1.5)
    await caller.enqueue(job.options(run_at=moment))
    await caller.enqueue_many([job.options(run_at=moment), job.options(delay=timedelta(days=2))])
    await caller.commit()

    rows = db.execute("select args, priority, max_attempts, timeout, run_at, state from pgqueue.jobs order by id")
    first, second, delayed = rows.fetchall()
    assert first == second
    assert first == ({"näme": "O'Neil %s :x $1 \\"}, 0, 3, timedelta(seconds=1.5), moment, "scheduled")
    until = db.execute("select max(run_at - created_at) from pgqueue.jobs where run_at < '2040-01-01'").fetchone()
    assert delayed[:4] == first[:4]
    assert until == (timedelta(days=2),)
