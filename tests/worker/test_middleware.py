"""Middleware: one seam around every job."""

import asyncio
import contextvars
import threading

import pytest

from pgqueue import JobContext, enqueue, enqueue_many, job, middleware
from pgqueue.errors import ConfigurationError
from tests.sql.verbs import row, state
from tests.worker.working import attempts, drain, states, until, working

pytestmark = pytest.mark.integration

tenant = contextvars.ContextVar("tenant", default="nobody")


def handlers():
    """One of each kind; they tell which tenant they saw."""

    @job(max_attempts=1)
    async def in_loop() -> str:
        await asyncio.sleep(0)
        return tenant.get()

    @job(max_attempts=1)
    def in_thread() -> str:
        return tenant.get()

    return in_loop, in_thread


def results(db):
    return [found for (found,) in db.execute("select result from pgqueue.jobs order by id").fetchall()]


async def test_a_sync_one_stands_around_every_handler_and_context_variables_reach_it(dsn, db):
    """In its thread for a sync handler. Nothing of it is left for the next job."""
    left = []

    @middleware
    def tenancy(ctx: JobContext):
        assert tenant.get() == "nobody"
        tenant.set(ctx.meta.get("tenant", "none given"))
        yield
        left.append((ctx.kind, threading.current_thread() is threading.main_thread()))

    for handler in handlers():
        enqueue_many(db, [handler.job().options(meta={"tenant": "acme"}), handler.job()])

    await drain(dsn, queues={"default": 1})

    assert results(db) == ["acme", "none given"] * 2
    assert left == [("in_loop", True)] * 2 + [("in_thread", False)] * 2


async def test_an_async_one_stands_around_every_handler(dsn, db):
    """In the event loop, around a thread too."""

    @middleware
    async def tenancy(ctx: JobContext):
        await asyncio.sleep(0)
        token = tenant.set(ctx.meta["tenant"])
        yield
        tenant.reset(token)

    enqueue_many(db, [handler.job().options(meta={"tenant": "acme"}) for handler in handlers()])

    await drain(dsn)

    assert results(db) == ["acme", "acme"]


async def test_they_nest_in_the_order_of_their_definition(dsn, db):
    """The first is the outermost: it sees what the others do to an error."""
    order = []

    @middleware
    def first(ctx: JobContext):
        order.append("first in")
        yield
        order.append("first out")

    @middleware
    async def second(ctx: JobContext):
        order.append("second in")
        yield
        order.append("second out")

    @middleware
    def third(ctx: JobContext):
        order.append("third in")
        yield
        order.append("third out")

    in_loop, in_thread = handlers()
    enqueue_many(db, [in_loop.job(), in_thread.job()])

    await drain(dsn, queues={"default": 1})

    assert order[:6] == ["first in", "second in", "third in", "third out", "second out", "first out"]
    assert order[6:] == ["second in", "first in", "third in", "third out", "first out", "second out"]


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_an_error_of_the_handler_can_be_seen_replaced_and_swallowed(dsn, db, kind):
    """As in a `with` block."""

    def decide(error: ValueError) -> None:
        if str(error) == "replace":
            raise LookupError("in its place") from error
        if str(error) == "see":
            raise error

    @middleware
    def sync(ctx: JobContext):
        try:
            yield
        except ValueError as error:
            if kind == "async":
                raise
            decide(error)

    @middleware
    async def asynchronous(ctx: JobContext):
        try:
            yield
        except ValueError as error:
            decide(error)

    @job(max_attempts=1)
    def in_thread(message: str):
        raise ValueError(message)

    @job(max_attempts=1)
    async def in_loop(message: str):
        raise ValueError(message)

    for handler in (in_thread, in_loop):
        enqueue_many(db, [handler.job("see"), handler.job("replace"), handler.job("swallow")])

    await drain(dsn)

    assert states(db) == ["failed", "failed", "completed"] * 2
    errors = [found for (found,) in db.execute("select error from pgqueue.jobs order by id").fetchall()]
    assert errors == ["ValueError: see", "LookupError: in its place", None] * 2


async def test_what_fails_before_the_yield_fails_the_job_and_the_handler_does_not_run(dsn, db):
    """A tenant that is gone; and a middleware without a yield on that road."""
    ran = []

    @middleware
    def tenancy(ctx: JobContext):
        if ctx.meta["tenant"] == "gone":
            raise LookupError("tenant is gone")
        if ctx.meta["tenant"] == "twice":
            yield
            yield
        elif ctx.meta["tenant"] == "once":
            yield

    @job(max_attempts=1)
    def charge(tenant: str):
        ran.append(tenant)

    enqueue_many(db, [charge.job(who).options(meta={"tenant": who}) for who in ("gone", "never", "once", "twice")])

    await drain(dsn)

    assert sorted(ran) == ["once", "twice"]
    errors = [found for (found,) in db.execute("select error from pgqueue.jobs order by id").fetchall()]
    assert errors == [
        "LookupError: tenant is gone",
        "RuntimeError: generator didn't yield",
        None,
        "RuntimeError: generator didn't stop",
    ]


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, asyncio.CancelledError, StopIteration])
async def test_whatever_a_handler_raises_ends_its_own_job_within_middleware_too(dsn, db, error):
    """Never the worker."""

    @middleware
    def tenancy(ctx: JobContext):
        yield

    @job(max_attempts=1)
    async def raises_in_loop():
        raise error

    @job(max_attempts=1)
    def raises_in_thread():
        raise error

    fine, _ = handlers()
    enqueue_many(db, [raises_in_loop.job(), raises_in_thread.job(), fine.job()])

    await drain(dsn, queues={"default": 1})

    assert states(db) == ["failed", "failed", "completed"]


async def test_a_timeout_and_a_cancel_reach_a_coroutine_within_middleware(dsn, db):
    """And both clean up."""
    begun, cleaned_up = [], []

    @middleware
    async def tracing(ctx: JobContext):
        begun.append(ctx.id)
        try:
            yield
        finally:
            cleaned_up.append(ctx.id)

    @job(max_attempts=1)
    async def hangs():
        await asyncio.sleep(60)

    late = enqueue(db, hangs.job().options(timeout=0.05)).id
    cancelled = enqueue(db, hangs.job()).id
    async with working(dsn, queues={"default": 1}):
        await until(lambda: state(db, late) == "failed")
        await until(lambda: cancelled in begun)
        db.execute("select pgqueue.cancel(%s, 'enough')", [cancelled])
        await until(lambda: state(db, cancelled) == "cancelled")

    assert cleaned_up == [late, cancelled]
    assert attempts(db, late) == [(1, "JobTimeout: stopped after 0.05 s, its timeout")]
    assert row(db, "select error from pgqueue.jobs where id = %s", [cancelled]) == ("enough",)


def test_what_is_no_middleware_is_refused():
    """When the module is imported."""
    for wrong in (handlers()[0], lambda ctx: None, 42, asyncio.sleep):
        with pytest.raises(ConfigurationError, match="it goes on a function with one yield"):
            middleware(wrong)

    def takes_nothing():
        yield

    with pytest.raises(ConfigurationError, match="takes one parameter"):
        middleware(takes_nothing)
