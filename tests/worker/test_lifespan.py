"""Lifespans: made once for each worker, there for every job, ended after the last."""

import asyncio
import threading

import pytest

from pgqueue import JobContext, enqueue, enqueue_many, job, lifespan
from pgqueue.errors import ConfigurationError, LifespanFailed
from pgqueue.worker import Worker, WorkerOptions
from tests.sql.verbs import value
from tests.worker.working import drain, states, until

pytestmark = pytest.mark.integration


async def test_what_they_make_is_there_for_every_handler_and_made_once(dsn, db):
    """A pool of connections, a client: one for each worker, not one for each job."""
    story = []

    @lifespan
    def pool():
        story.append("pool opens")
        yield {"connections": 5}
        story.append("pool closes")

    @lifespan
    async def http(resources):
        story.append(f"http opens with {resources.pool}")
        yield "a client"
        await asyncio.sleep(0)
        story.append("http closes")

    @job
    def in_thread(ctx: JobContext) -> str:
        story.append("runs")
        return f"{ctx.resources['pool']} {ctx.resources.http}"

    @job
    async def in_loop(ctx: JobContext) -> list[str]:
        story.append("runs")
        return list(ctx.resources)

    enqueue_many(db, [in_thread.job(), in_thread.job(), in_loop.job()])

    await drain(dsn, queues={"default": 1})

    assert story == [
        "pool opens", "http opens with {'connections': 5}", "runs", "runs", "runs", "http closes", "pool closes",
    ]  # fmt: skip
    found = [result for (result,) in db.execute("select result from pgqueue.jobs order by id").fetchall()]
    assert found == ["{'connections': 5} a client"] * 2 + [["pool", "http"]]


async def test_an_async_one_starts_and_ends_in_one_task(dsn, db):
    """A task group or a cancel scope inside would refuse any other."""
    tasks = []

    @lifespan
    async def group():
        tasks.append(asyncio.current_task())
        async with asyncio.TaskGroup() as group, asyncio.timeout(60):
            yield group
        tasks.append(asyncio.current_task())

    await drain(dsn)

    assert len(tasks) == 2
    assert tasks[0] is tasks[1]


async def test_no_job_is_claimed_before_all_have_started(dsn, db):
    """It would find nothing."""
    go_on = asyncio.Event()

    @lifespan
    async def model():
        await go_on.wait()
        yield 42

    @job
    async def predict(ctx: JobContext) -> int:
        return ctx.resources.model

    enqueue(db, predict.job())
    running = asyncio.create_task(drain(dsn))
    await asyncio.sleep(0)
    await until(lambda: len(asyncio.all_tasks()) > 2)
    assert value(db, "select count(*) from pgqueue.worker") == 0
    go_on.set()
    await running

    assert value(db, "select result from pgqueue.jobs") == 42


async def test_one_that_fails_to_start_ends_the_worker_and_those_before_it(dsn, db):
    """Without having claimed anything: another worker may be better off."""
    story = []

    @lifespan
    def pool():
        yield
        story.append("pool closes")

    @lifespan
    def model():
        raise FileNotFoundError("model.bin")
        yield

    @job
    def predict(): ...

    enqueue(db, predict.job())

    with pytest.raises(LifespanFailed, match=r"^lifespan model did not start: FileNotFoundError: model\.bin$"):
        await drain(dsn)

    assert story == ["pool closes"]
    assert states(db) == ["ready"]


async def test_a_worker_that_is_told_to_stop_while_they_start_stops(dsn, db):
    """A deploy that was a mistake. What had started is ended."""
    story, starting = [], asyncio.Event()

    @lifespan
    async def pool():
        yield
        story.append("pool closes")

    @lifespan
    async def model():
        starting.set()
        await asyncio.sleep(60)
        yield

    worker = Worker(dsn, WorkerOptions())
    running = asyncio.create_task(worker.run())
    await starting.wait()
    worker.stop()
    await running

    assert story == ["pool closes"]


async def test_an_error_at_the_end_is_logged_and_the_others_end(dsn, db, caplog):
    """The jobs are done and reported by then."""
    story = []

    @lifespan
    def pool():
        yield
        story.append("pool closes")

    @lifespan
    async def http():
        yield
        raise ValueError("already closed")

    await drain(dsn)

    assert story == ["pool closes"]
    (told,) = [record for record in caplog.records if record.getMessage() == "lifespan did not end well"]
    assert "already closed" in str(told.exc_info)


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_one_that_hangs_at_the_end_does_not_keep_the_worker(dsn, db, caplog, monkeypatch, kind):
    """Whoever stops a container kills it after a while anyway."""
    monkeypatch.setattr("pgqueue.worker.lifespans.PATIENCE", 0.05)
    go_on = threading.Event()

    if kind == "sync":

        @lifespan
        def pool():
            yield
            go_on.wait(20)

    else:

        @lifespan
        async def pool():
            yield
            await asyncio.sleep(60)

    try:
        await drain(dsn)
    finally:
        go_on.set()

    assert any("took longer than 0.05 s to end" in record.getMessage() for record in caplog.records)


async def test_a_name_that_no_lifespan_has_is_refused_with_those_there_are(dsn, db):
    """A slip, or a worker that was not told to import the module."""

    @lifespan
    def pool():
        yield

    @job(max_attempts=1)
    def predict(ctx: JobContext):
        return ctx.resources.model

    enqueue(db, predict.job())
    await drain(dsn)

    assert "no lifespan called 'model' was started here; there are: pool." in value(
        db, "select error from pgqueue.jobs"
    )


def test_what_is_no_lifespan_is_refused():
    """When the module is imported."""
    with pytest.raises(ConfigurationError, match="goes on a function with one yield"):
        lifespan(lambda: 42)
    with pytest.raises(ConfigurationError, match="no event loop"):

        @lifespan(process=True)
        async def model():
            yield

    with pytest.raises(ConfigurationError, match="at most one parameter"):

        @lifespan
        def pool(one, two):
            yield

    @lifespan
    def http():
        yield

    def another():
        @lifespan
        def http():
            yield

    with pytest.raises(ConfigurationError, match=r"two lifespans are called 'http': .* rename one"):
        another()
