"""A kind that no worker knows: its jobs wait, visible to everybody, for as long as it takes."""

import logging
import sys

import pytest

from pgqueue import Job, enqueue, enqueue_many, job
from tests.sql.verbs import enqueue as enqueue_in_sql
from tests.sql.verbs import row, state, value, values
from tests.worker.working import drain, states, until, until_all, working

pytestmark = pytest.mark.integration


@pytest.fixture
def known():
    """A handler, so that the worker has one."""

    @job
    async def known():
        pass

    return known


async def test_a_job_of_unknown_kind_runs_once_a_worker_knows_it(dsn, db, known):
    """A deploy in the wrong order: the producer is newer than this worker. With one attempt, even."""
    id = enqueue(db, Job("brand_new", {}, max_attempts=1)).id
    async with working(dsn):
        await until(lambda: state(db, id) == "scheduled")

    waiting = row(db, "select attempt, error from pgqueue.jobs where id = %s", [id])
    assert waiting.attempt == 0
    assert waiting.error.startswith("UnknownKind: no worker with a handler for brand_new")
    assert row(db, "select kind, queue, jobs from pgqueue.unknown_kinds") == ("brand_new", "default", 1)
    assert value(db, "select count(*) from pgqueue.attempt") == 0

    seen = []

    @job
    async def brand_new():
        seen.append(True)

    async with working(dsn):
        await until_all(db)

    assert seen == [True]
    assert values(db, "select kind from pgqueue.unknown_kinds") == []


async def test_a_worker_that_knows_the_kind_starts_its_jobs_while_another_does_not(dsn, db, known):
    """In the middle of a deploy both serve the queue; no job must stay with the one that cannot run it."""
    enqueue_many(db, [Job("brand_new", {}) for _ in range(20)])
    async with working(dsn):
        await until(lambda: value(db, "select jobs from pgqueue.unknown_kinds") == 20)

        @job
        async def brand_new():
            pass

        async with working(dsn):
            await until_all(db)


async def test_a_former_name_is_known(dsn, db):
    """Jobs that were enqueued before the rename run under the new name, and wait for nobody."""

    @job(aliases=["old_name"])
    async def new_name():
        pass

    enqueue(db, Job("old_name", {}))

    await drain(dsn)

    assert states(db) == ["completed"]
    async with working(dsn):
        known = await until(lambda: value(db, "select max(kinds::text) from pgqueue.worker where stopped_at is null"))
    assert known == '{"new_name": null, "old_name": null}'


@pytest.mark.parametrize("kind", ["os.system", "tests.worker.not_imported", "subprocess:run"])
async def test_a_name_from_the_database_is_never_imported(dsn, db, known, kind):
    """Whoever may write a row must not choose what code a worker loads."""
    enqueue_in_sql(db, kind, args={"command": "false"})
    before = set(sys.modules)

    await drain(dsn)

    assert states(db) == ["scheduled"]
    assert set(sys.modules) - before == set()


async def test_the_log_tells_of_each_unknown_kind_once(dsn, db, known, caplog):
    """A line for each of a million jobs would drown everything else."""
    enqueue_many(db, [Job(kind, {}) for kind in ("one", "two") for _ in range(10)])

    with caplog.at_level(logging.INFO):
        await drain(dsn)

    told = [record.fields["kind"] for record in caplog.records if "no handler" in record.getMessage()]
    assert sorted(told) == ["one", "two"]


async def test_jobs_behind_an_unknown_kind_go_on(dsn, db, known):
    """They do not wait with it."""
    enqueue_many(db, [Job("brand_new", {}) for _ in range(100)])
    id = enqueue(db, known.job()).id

    await drain(dsn, queues={"default": 2})

    assert state(db, id) == "completed"
