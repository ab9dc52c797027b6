"""Jobs of former and coming versions of a handler, while a deploy is under way."""

import pytest

from pgqueue import Job, enqueue, job, retry
from pgqueue.task import registry
from tests.sql.verbs import row, value
from tests.worker.working import attempts, drain, states, until, working

pytestmark = pytest.mark.integration


async def test_a_job_of_before_the_deploy_runs_after_it(dsn, db):
    """Its arguments are those of a signature that is gone."""
    seen = []

    def rename(args):
        return {"cents": args["amount"] * 100}

    @job(version=2, upcasters={1: rename}, aliases=["bill"])
    async def charge(cents: int):
        seen.append(cents)

    enqueue(db, Job("charge", {"amount": 5}))
    enqueue(db, Job("bill", {"amount": 7}))
    enqueue(db, charge.job(999))
    db.execute("select pgqueue.enqueue('charge', '{\"amount\": 8}')")
    db.execute("select pgqueue.enqueue('charge', '{\"cents\": 1}', meta => '{\"version\": 2}')")

    await drain(dsn)

    assert sorted(seen) == [1, 500, 700, 800, 999]
    assert set(states(db)) == {"completed"}
    assert value(db, "select args from pgqueue.job_archive where id = 1") == {"amount": 5}


async def test_an_upcaster_that_fails_fails_its_job_readably_and_it_can_be_retried(dsn, db):
    """The mended upcaster gets what was stored, not what the broken one left."""

    def broken(args):
        return {"cents": args.pop("euros") * 100}

    def take(cents: int):
        pass

    job(version=2, upcasters={1: broken}, name="charge")(take)
    id = enqueue(db, Job("charge", {"amount": 5})).id

    await drain(dsn)

    found = row(db, "select state, error, args from pgqueue.jobs where id = %s", [id])
    assert found.state == "failed"
    assert "the upcaster from 1 to 2 raised KeyError: 'euros'" in found.error
    assert found.args == {"amount": 5}
    assert len(attempts(db, id)) == 1

    job(version=2, upcasters={1: lambda args: {"cents": args["amount"] * 100}}, name="charge")(take)
    retry(db, id)
    await drain(dsn)

    assert states(db) == ["completed"]


async def test_a_job_of_a_version_to_come_waits_for_newer_code_without_an_attempt(dsn, db):
    """The producer was deployed first. The old worker must neither run it with half of its arguments nor fail it."""
    seen = []

    def old(cents: int):
        raise AssertionError("never called")

    def new(cents: int, currency: str):
        seen.append((cents, currency))

    job(name="charge")(old)
    id = enqueue(db, Job("charge", {"cents": 5, "currency": "EUR"}, meta={"version": 2}, max_attempts=1)).id
    async with working(dsn):
        await until(lambda: "version 2" in (value(db, "select error from pgqueue.jobs where id = %s", [id]) or ""))

    waiting = row(db, "select state, attempt, error from pgqueue.jobs where id = %s", [id])
    assert waiting.attempt == 0
    assert waiting.state == "scheduled"
    assert "charge here is at version 1" in waiting.error

    registry.clear()
    job(name="charge", version=2, upcasters={1: lambda args: {**args, "currency": "EUR"}})(new)
    db.execute("update pgqueue.job set run_at = clock_timestamp()")
    await drain(dsn)

    assert seen == [(5, "EUR")]
    assert states(db) == ["completed"]
