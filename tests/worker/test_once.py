"""ctx.once: a step that a job takes once, whatever happens to its attempts."""

import asyncio
import threading

import psycopg
import pytest

from pgqueue import Backoff, JobContext, enqueue, enqueue_many, errors, job
from tests.sql.verbs import release, retry, row, state, value, values
from tests.worker.pooler import MISSING, pooler
from tests.worker.working import attempts, drain, states, until, working

pytestmark = pytest.mark.integration

AT_ONCE = Backoff(base=0)
BOTH = pytest.mark.parametrize("kind", ["async", "sync"])


def handler(kind, steps, **options):
    """A handler that takes `steps`, a generator of what it asks of ctx.once and is sent the answers: sync, or async."""

    def run_sync(ctx: JobContext):
        script = steps(ctx)
        try:
            asked = next(script)
            while True:
                try:
                    answer = ctx.once(*asked)
                except Exception as error:
                    asked = script.throw(error)
                else:
                    asked = script.send(answer)
        except StopIteration as stop:
            return stop.value

    async def run_async(ctx: JobContext):
        script = steps(ctx)
        try:
            asked = next(script)
            while True:
                try:
                    answer = await ctx.once(*asked)
                except Exception as error:
                    asked = script.throw(error)
                else:
                    asked = script.send(answer)
        except StopIteration as stop:
            return stop.value

    return job(name="steps", backoff=AT_ONCE, **options)(run_sync if kind == "sync" else run_async)


@BOTH
async def test_a_step_is_taken_at_most_once(dsn, db, kind):
    """The attempt fails right after it: the next one knows."""
    seen = []

    def steps(ctx):
        seen.append((yield ("mail",)))
        if ctx.attempt < 3:
            raise ValueError("after the mail")

    enqueue_many(db, [handler(kind, steps).job()])

    await drain(dsn)

    assert (seen, states(db)) == ([True, False, False], ["completed"])


@BOTH
async def test_it_is_on_record_before_the_handler_goes_on(dsn, db, kind):
    """Whatever happens next, even to the process."""

    def steps(ctx):
        yield ("mail",)
        with psycopg.connect(dsn) as other:
            return value(other, "select array_agg(key) from pgqueue.once where job = %s", [ctx.id])

    enqueue(db, handler(kind, steps).job())

    await drain(dsn)

    assert values(db, "select result from pgqueue.jobs") == [["mail"]]


@BOTH
async def test_a_later_attempt_is_given_what_the_step_gave(dsn, db, kind):
    """A call to somebody else's API is made once, and its answer is there."""
    calls = []

    def charge(amount, *, currency):
        calls.append((amount, currency))
        return {"receipt": len(calls), "amount": amount}

    async def charge_async(amount, *, currency):
        return charge(amount, currency=currency)

    def charged(amount, currency):
        return charge(amount, currency=currency)

    def steps(ctx):
        receipt = yield ("charge", charged, 42, "EUR")
        if ctx.attempt < 3:
            raise ValueError("after the charge")
        return receipt

    enqueue(db, handler(kind, steps).job())

    await drain(dsn)

    assert calls == [(42, "EUR")]
    assert values(db, "select result from pgqueue.jobs") == [{"receipt": 1, "amount": 42}]


async def test_an_async_function_is_awaited_and_keywords_reach_it(dsn, db):
    """As if it had been called there."""

    @job
    async def charges(ctx: JobContext):
        async def charge(amount, *, function, key):
            await asyncio.sleep(0)
            return [amount, function, key]

        return await ctx.once("charge", charge, 1, function=2, key=3)

    enqueue(db, charges.job())

    await drain(dsn)

    assert values(db, "select result from pgqueue.jobs") == [[1, 2, 3]]


@BOTH
async def test_a_step_that_raised_was_not_taken(dsn, db, kind):
    """It is tried again, as the rest of the job."""
    calls = []

    def breaks_once():
        calls.append(True)
        if len(calls) == 1:
            raise OSError("not there")

    def steps(ctx):
        return (yield ("fetch", breaks_once))

    id = enqueue(db, handler(kind, steps).job()).id

    await drain(dsn)

    assert (len(calls), states(db)) == (2, ["completed"])
    assert attempts(db, id) == [(1, "OSError: not there")]


@BOTH
async def test_nothing_is_a_value_too(dsn, db, kind):
    """A step that gives None is not taken again."""
    calls = []

    def steps(ctx):
        answer = yield ("nothing", lambda: calls.append(True))
        if ctx.attempt == 1:
            raise ValueError
        return [answer]

    enqueue(db, handler(kind, steps).job())

    await drain(dsn)

    assert (calls, values(db, "select result from pgqueue.jobs")) == ([True], [[None]])


@BOTH
async def test_a_run_that_lost_its_claim_is_told_and_takes_no_step(dsn, db, kind):
    """The one that has the job now does."""
    runs, told = [], []

    def steps(ctx):
        runs.append(True)
        if len(runs) == 1:
            held = row(db, "select id, worker, claims from pgqueue.job where id = %s", [ctx.id])
            release(db, held.worker, [held])
            try:
                yield ("mail",)
            except errors.ClaimLost as error:
                told.append(str(error))
                raise
        yield ("mail",)

    id = enqueue(db, handler(kind, steps).job()).id
    async with working(dsn):
        await until(lambda: state(db, id) == "completed")

    assert len(told) == 1
    assert value(db, "select count(*) from pgqueue.once") == 1
    assert attempts(db, id) == []


@BOTH
async def test_a_job_retried_by_hand_keeps_its_steps(dsn, db, kind):
    """Their effects did happen."""
    seen = []

    def steps(ctx):
        seen.append((yield ("mail",)))
        raise ValueError

    id = enqueue(db, handler(kind, steps, max_attempts=1).job()).id
    await drain(dsn)
    retry(db, id)

    await drain(dsn)

    assert seen == [True, False]


@BOTH
async def test_in_a_transactional_handler_it_is_part_of_the_transaction(dsn, db, kind):
    """What it guards is undone with it."""
    seen = []

    def steps(ctx):
        seen.append((yield ("mail",)))
        ctx_rows = yield ("rows", lambda: 5)
        if ctx.attempt == 1:
            raise ValueError
        return ctx_rows

    enqueue(db, handler(kind, steps, transactional=True).job())

    await drain(dsn, connections=1)

    assert (seen, values(db, "select result from pgqueue.jobs")) == ([True, True], [5])
    assert value(db, "select count(*) from pgqueue.once") == 2


@BOTH
@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (("",), "names no step"),
        (("x" * 256,), "names no step"),
        (("nul\0",), "names no step"),
        (("\ud800",), "names no step"),
        ((None,), "names no step"),
        ((b"bytes",), "names no step"),
        (("object", object), "which is no JSON"),
        (("nan", lambda: float("nan")), "which is no JSON"),
        (("nul", lambda: "\0"), "U+0000"),
        (("huge", lambda: "x" * 2_000_000), "the limit is 1,048,576"),
    ],
)
async def test_what_cannot_be_recorded_is_refused(dsn, db, kind, asked, message):
    """And nothing is on record."""

    def steps(ctx):
        try:
            yield asked
        except errors.InvalidJob as error:
            return str(error)

    enqueue(db, handler(kind, steps).job())

    await drain(dsn)

    assert message in value(db, "select result from pgqueue.jobs")
    assert value(db, "select count(*) from pgqueue.once") == 0


async def test_a_step_that_was_only_noted_has_no_value(dsn, db):
    """Two uses of one key: a mistake that must not look like an answer."""

    @job
    async def mixes(ctx: JobContext):
        assert await ctx.once("mail")
        with pytest.raises(errors.InvalidJob, match="has no value"):
            await ctx.once("mail", lambda: 1)
        assert await ctx.once("sum", lambda: 1) == 1
        assert not await ctx.once("sum")

    enqueue(db, mixes.job())

    await drain(dsn)

    assert states(db) == ["completed"]


async def test_a_sync_handler_cannot_take_an_async_step(dsn, db):
    """It would record a coroutine that never ran."""

    async def fetch():
        return 1

    @job(max_attempts=1)
    def mixes(ctx: JobContext):
        return ctx.once("fetch", fetch)

    id = enqueue(db, mixes.job()).id

    await drain(dsn)

    assert "make the handler async" in attempts(db, id)[0][1]


async def test_steps_of_one_job_at_the_same_time(dsn, db):
    """Of those who ask together one is first."""

    @job
    async def asks_together(ctx: JobContext):
        answers = await asyncio.gather(*(ctx.once("mail") for _ in range(8)))
        return sum(answers)

    @job
    def asks_in_threads(ctx: JobContext):
        answers = []
        threads = [threading.Thread(target=lambda: answers.append(ctx.once("mail"))) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return sum(answers)

    enqueue_many(db, [asks_together.job(), asks_in_threads.job()])

    await drain(dsn, connections=4)

    assert values(db, "select result from pgqueue.jobs") == [1, 1]


def test_without_a_worker_it_says_so():
    """A context made by hand, as in a test of the application's own."""
    context = JobContext(1, "k", "q", 1, 1, None, None, None, "w", None)

    with pytest.raises(errors.ConfigurationError, match="needs the connections of a worker"):
        context.once("mail")


@pytest.mark.skipif(MISSING, reason="this test runs through a real PgBouncer; install pgbouncer")
async def test_it_works_through_a_pooler(dsn, db):
    """Nothing of it is state of a session."""

    @job
    async def steps(ctx: JobContext):
        return [await ctx.once("mail"), await ctx.once("mail"), await ctx.once("sum", lambda: 2)]

    with pooler(dsn) as pooled:
        enqueue_many(db, [steps.job() for _ in range(10)])
        await drain(pooled, direct_dsn=dsn)

    assert values(db, "select result from pgqueue.jobs") == [[True, False, 2]] * 10
