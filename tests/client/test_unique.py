"""Unique jobs and expiry, on every kind of connection."""

from datetime import UTC, datetime, timedelta

import pytest

from pgqueue import Enqueued, Job, Unique, find_unique, release_unique
from pgqueue.errors import InvalidJob

pytestmark = pytest.mark.integration


async def test_a_duplicate_gives_the_id_of_the_first_and_the_transaction_goes_on(caller, db, kinds_of_jobs):
    """One by one and in bulk, on every driver."""
    job = Job("charge", {"invoice_id": 42}, unique=Unique(by=("invoice_id",)))
    first = await caller.enqueue(job)
    second = await caller.enqueue(job.options(priority=1))
    many = await caller.enqueue_many([job, Job("receipt"), job.options(unique_key="other")])
    await caller.execute("create table still_working ()")
    await caller.commit()

    assert first.created
    assert second == many[0] == Enqueued(first.id, created=False)
    assert [each.created for each in many] == [False, True, True]
    assert kinds_of_jobs() == ["charge", "receipt", "charge"]


async def test_a_key_is_looked_up_and_released(caller):
    """By the job as it would be enqueued, or by its kind and key."""
    job = Job("charge", {"invoice_id": 42}, unique=Unique())
    assert await caller.run(find_unique, job) is None
    enqueued = await caller.enqueue(job)

    held = Enqueued(enqueued.id, created=False)
    assert await caller.run(find_unique, job) == held
    assert await caller.run(find_unique, "charge", '{"invoice_id":42}') == held
    assert await caller.run(release_unique, job) == held
    assert await caller.run(release_unique, job) is None
    assert (await caller.enqueue(job)).created


async def test_every_option_of_a_key_and_of_expiry_arrives(caller, db):
    """However the driver spells its parameters."""
    moment = datetime(2040, 5, 17, 12, 0, 0, 123456, tzinfo=UTC)
    key = """O'Neil %s :x $1 \\ "quoted" ä"""
    unique = Unique(until="started", within=timedelta(days=1), on_conflict="debounce", scope="s")
    jobs = [Job("x", unique=unique, unique_key=key, expires_at=moment), Job("y", delay=60, expires_in=1.5)]
    await caller.enqueue(jobs[0])
    await caller.enqueue_many([jobs[0].options(unique_key=key + "2"), jobs[1]])
    await caller.commit()

    found = db.execute("select scope, key, until, free_at - clock_timestamp() from pgqueue.unique_key order by key")
    for scope, stored, until, left in found:
        assert (scope, stored[: len(key)], until) == ("s", key, "started")
        assert timedelta(hours=23) < left < timedelta(days=1)
    expiries = db.execute("select expires_at, expires_at - run_at from pgqueue.job order by kind").fetchall()
    assert [row[0] for row in expiries[:2]] == [moment, moment]
    assert expiries[2][1] == timedelta(seconds=1.5)


def test_looking_up_what_can_have_no_key_is_refused(db):
    """Rather than found to be free."""
    for job, key in (
        (Job("x"), None),
        (Job("x", unique=Unique()), "k"),
        ("x", None),
        ("a b", "k"),
        ("x", ""),
        (5, "k"),
    ):
        with pytest.raises(InvalidJob):
            find_unique(db, job, key)
