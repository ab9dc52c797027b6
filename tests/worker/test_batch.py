"""@job(batch=…): a handler that takes many jobs at once, each with an outcome of its own."""

import asyncio
import threading
from dataclasses import dataclass

import psycopg
import pytest
from pydantic import BaseModel
from typing_extensions import TypedDict

from pgqueue import Backoff, Batch, Job, JobContext, Secret, enqueue, enqueue_many, errors, job
from tests.sql.verbs import release, row, state, value, values
from tests.worker.working import attempts, drain, states, until, until_asleep, working

pytestmark = pytest.mark.integration

AT_ONCE = Backoff(base=0)
BOTH = pytest.mark.parametrize("kind", ["async", "sync"])


def batched(kind, body=None, *, sizes=None, **options):
    """A batch handler named `index` that does `body`: sync, or async. sizes: told how many came at once."""

    def run(items):
        if sizes is not None:
            sizes.append(len(items))
        return body(items) if body else None

    def index(items: Batch[int]):
        return run(items)

    async def index_async(items: Batch[int]):
        return run(items)

    options = {"backoff": AT_ONCE, "batch": 100, "name": "index", **options}
    return job(**options)(index if kind == "sync" else index_async)


@BOTH
async def test_it_is_given_what_waits_up_to_its_size(dsn, db, kind):
    """And no more: also from a queue with a single slot."""
    sizes, seen = [], []
    task = batched(kind, lambda items: seen.extend(item.args for item in items), sizes=sizes)
    enqueue_many(db, [task.job(number) for number in range(250)])

    await drain(dsn, queues={"default": 1})

    assert (sizes, seen) == ([100, 100, 50], list(range(250)))
    assert states(db) == ["completed"] * 250


async def test_it_never_waits_for_more(dsn, db):
    """One job alone runs at once."""
    sizes = []
    task = batched("async", sizes=sizes)
    async with working(dsn):
        await until_asleep(db)
        for _ in range(3):
            id = enqueue(db, task.job(1)).id
            await until(lambda id=id: state(db, id) == "completed")

    assert sizes == [1, 1, 1]


@BOTH
async def test_each_item_has_an_outcome_of_its_own(dsn, db, kind):
    """One bad document must not take the others along."""

    def marks(items):
        for item in items:
            match item.args if item.attempt == 1 else -1:
                case 0:
                    item.complete({"n": item.args})
                case 1:
                    item.fail(ValueError("bad document"))
                case 2:
                    item.fail("bad text")
                case 3:
                    item.retry(0, "busy")
                case 4:
                    item.snooze(3600, "later")
                case 5:
                    item.fail("no")
                    item.complete("after all")

    task = batched(kind, marks)
    ids = [one.id for one in enqueue_many(db, [task.job(number) for number in range(7)])]

    await drain(dsn)

    assert states(db) == ["completed", "completed", "completed", "completed", "scheduled", "completed", "completed"]
    assert [attempts(db, id) for id in ids] == [
        [],
        [(1, "ValueError: bad document")],
        [(1, "RuntimeError: bad text")],
        [(1, "Retry: busy")],
        [],
        [],
        [],
    ]
    assert [row(db, "select result from pgqueue.jobs where id = %s", [id])[0] for id in ids] == [
        {"n": 0},
        None,
        None,
        None,
        None,
        "after all",
        None,
    ]
    assert value(db, "select attempt from pgqueue.jobs where id = %s", [ids[4]]) == 0


@BOTH
async def test_an_error_fails_those_it_said_nothing_of(dsn, db, kind):
    """What is done stays done."""

    def breaks(items):
        if items[0].attempt == 1:
            items[0].complete("done")
            items[1].snooze(3600)
            raise OSError("index is gone")

    task = batched(kind, breaks)
    ids = [one.id for one in enqueue_many(db, [task.job(number) for number in range(4)])]

    await drain(dsn)

    assert states(db) == ["completed", "scheduled", "completed", "completed"]
    assert [attempts(db, id) for id in ids] == [[], [], *([[(1, "OSError: index is gone")]] * 2)]


async def test_bad_arguments_fail_only_their_own_job(dsn, db):
    """The others run without it."""
    sizes = []
    task = batched("async", sizes=sizes)
    enqueue_many(db, [task.job(1), Job("index", {"item": "x"}), Job("index", {"other": 1}), task.job(2)])

    await drain(dsn)

    assert states(db) == ["completed", "failed", "failed", "completed"]
    assert sizes == [2]


async def test_when_none_fits_nothing_is_called(dsn, db):
    """A handler is never given an empty batch."""
    sizes = []
    batched("async", sizes=sizes)
    enqueue_many(db, [Job("index", {"item": "x"}) for _ in range(3)])

    await drain(dsn)

    assert (states(db), sizes) == (["failed"] * 3, [])


async def test_an_item_whose_claim_was_lost_is_fenced_alone(dsn, db, caplog):
    """Somebody else has that one; the outcome of the others counts."""

    def loses_one(items):
        with psycopg.connect(dsn, autocommit=True) as other:
            held = row(other, "select id, worker, claims from pgqueue.job where id = %s", [items[1].id])
            other.execute("update pgqueue.job set queue = 'elsewhere' where id = %s", [held.id])
            release(other, held.worker, [held])

    task = batched("async", loses_one)
    enqueue_many(db, [task.job(number) for number in range(3)])
    async with working(dsn):
        await until(lambda: states(db).count("completed") == 2)
        await until(lambda: "the claim on the job was lost" in caplog.text)

    assert states(db) == ["completed", "ready", "completed"]


@BOTH
async def test_a_timeout_is_of_the_whole_batch(dsn, db, kind):
    """All that it said nothing of fail; the shortest time of its jobs counts."""
    go_on = threading.Event()

    def hangs(items: Batch[int]):
        items[0].complete("in time")
        go_on.wait(20)

    async def hangs_async(items: Batch[int]):
        items[0].complete("in time")
        await asyncio.sleep(60)

    task = job(name="index", batch=10, timeout=60, max_attempts=1)(hangs if kind == "sync" else hangs_async)
    jobs = [task.job(1), task.job(2).options(timeout=0.5), task.job(3)]
    ids = [one.id for one in enqueue_many(db, jobs)]

    await drain(dsn)
    go_on.set()

    assert states(db) == ["completed", "failed", "failed"]
    assert attempts(db, ids[2]) == [(1, "JobTimeout: stopped after 0.5 s, its timeout")]


async def test_a_worker_that_stops_gives_the_whole_batch_back(dsn, db):
    """No attempt is counted; what was completed stays so."""
    begun = asyncio.Event()

    @job(batch=10)
    async def waits(items: Batch[int]):
        items[0].complete()
        begun.set()
        await asyncio.sleep(60)

    enqueue_many(db, [waits.job(number) for number in range(3)])
    async with working(dsn):
        await asyncio.wait_for(begun.wait(), 20)

    assert states(db) == ["completed", "ready", "ready"]
    assert values(db, "select attempt from pgqueue.job") == [0, 0]


async def test_other_kinds_of_the_queue_run_meanwhile(dsn, db, noop):
    """A batch takes its own kind from the middle of a mixed queue, and leaves the order of the others."""
    sizes, order = [], []

    @job
    async def plain(number: int):
        order.append(number)

    task = batched("async", sizes=sizes)
    enqueue_many(db, [(task if number % 2 else plain).job(number) for number in range(40)])

    await drain(dsn, queues={"default": 1})

    assert set(states(db)) == {"completed"}
    assert sum(sizes) == 20
    assert max(sizes) > 1
    assert order == list(range(0, 40, 2))


async def test_it_may_take_the_context_and_any_type(dsn, db):
    """The context is that of the first job; once is of one job, so it is refused."""
    seen = []

    class Model(BaseModel):
        n: int

    class Typed(TypedDict):
        n: int

    @dataclass
    class Data:
        n: int

    def made(type_, name):
        async def handler(ctx: JobContext, items: Batch[type_]):
            seen.append((ctx.kind, ctx.attempt, [item.args for item in items]))
            with pytest.raises(errors.ConfigurationError, match="many at once"):
                await ctx.once("x")

        return job(name=name, batch=10)(handler)

    enqueue_many(db, [made(Model, "model").job(Model(n=n)) for n in (1, 2)])
    enqueue(db, made(Typed, "typed").job({"n": 3}))
    enqueue(db, made(Data, "data").job(Data(4)))
    enqueue(db, made(list[str], "lists").job(["a"]))

    await drain(dsn, queues={"default": 1})

    assert set(states(db)) == {"completed"}, values(db, "select error from pgqueue.jobs")
    assert seen == [
        ("model", 1, [Model(n=1), Model(n=2)]),
        ("typed", 1, [{"n": 3}]),
        ("data", 1, [Data(4)]),
        ("lists", 1, [["a"]]),
    ]


@BOTH
async def test_a_transactional_batch_is_one_transaction(dsn, db, kind):
    """Writes for all and the completion of all; what was marked otherwise is reported after."""
    db.execute("create table effect (id bigint)")

    def write(ctx: JobContext, items: Batch[int]):
        for item in items:
            ctx.connection.execute("insert into effect values (%s)", [item.id])
        items[2].snooze(3600)

    async def write_async(ctx: JobContext, items: Batch[int]):
        for item in items:
            await ctx.connection.execute("insert into effect values (%s)", [item.id])
        items[2].snooze(3600)

    task = job(name="index", batch=10, transactional=True)(write if kind == "sync" else write_async)
    enqueue_many(db, [task.job(number) for number in range(4)])

    await drain(dsn)

    assert states(db) == ["completed", "completed", "scheduled", "completed"]
    together = """select count(distinct e.xmin::text) from effect e
        join pgqueue.job_archive_completed a on a.id = e.id and a.xmin = e.xmin"""
    assert value(db, together) == 1
    assert value(db, "select count(*) from effect") == 4


async def test_an_error_undoes_what_a_transactional_batch_had_completed(dsn, db):
    """It was completed in the transaction that is gone."""
    db.execute("create table effect (id bigint)")

    @job(batch=10, transactional=True, backoff=AT_ONCE)
    async def index(ctx: JobContext, items: Batch[int]):
        for item in items:
            await ctx.connection.execute("insert into effect values (%s)", [item.id])
            item.complete()
            if item.attempt == 1 and item.args == 2:
                raise ValueError("no")

    ids = [one.id for one in enqueue_many(db, [index.job(number) for number in range(4)])]

    await drain(dsn)

    assert states(db) == ["completed"] * 4
    assert values(db, "select id from effect order by id") == ids
    assert [len(attempts(db, id)) for id in ids] == [1, 1, 1, 1]


async def test_one_lost_claim_undoes_a_transactional_batch_and_costs_the_others_no_attempt(dsn, db):
    """What it wrote for the one cannot be told from the rest."""
    db.execute("create table effect (id bigint, attempt integer)")
    runs = []

    @job(batch=10, transactional=True)
    async def index(ctx: JobContext, items: Batch[int]):
        for item in items:
            await ctx.connection.execute("insert into effect values (%s, %s)", [item.id, item.attempt])
        runs.append(len(items))
        if len(runs) == 1:
            held = row(db, "select id, worker, claims from pgqueue.job where id = %s", [items[1].id])
            db.execute("update pgqueue.job set queue = 'elsewhere' where id = %s", [held.id])
            release(db, held.worker, [held])

    enqueue_many(db, [index.job(number) for number in range(3)])
    async with working(dsn):
        await until(lambda: states(db).count("completed") == 2)

    assert states(db) == ["completed", "ready", "completed"]
    assert db.execute("select attempt from effect").fetchall() == [(1,), (1,)]


async def test_what_the_handler_returns_counts_for_each(dsn, db):
    """As if it had run for each alone."""
    task = batched("async", lambda items: {"of": len(items)})
    enqueue_many(db, [task.job(number) for number in range(3)])

    await drain(dsn, queues={"default": 1})

    assert values(db, "select result from pgqueue.jobs") == [{"of": 3}] * 3


async def test_a_result_that_cannot_be_stored_fails_its_item_alone(dsn, db):
    """The others keep theirs."""

    def completes(items):
        for item in items:
            item.complete(object() if item.args == 1 else item.args)

    enqueue_many(db, [batched("async", completes).job(number) for number in range(3)])

    await drain(dsn)

    assert states(db) == ["completed", "failed", "completed"]


async def test_a_secret_of_one_item_is_hidden_in_the_errors_of_all(dsn, db):
    """They share one error, which may tell of any of them."""

    class Login(BaseModel):
        name: str
        password: Secret[str]

    @job(batch=10, max_attempts=1)
    async def login(items: Batch[Login]):
        raise ValueError(f"refused: {items[1].args.password.reveal()}")

    ids = [
        one.id
        for one in enqueue_many(db, [login.job(Login(name=n, password=Secret(f"hunter-{n}"))) for n in ("a", "b")])
    ]

    await drain(dsn, queues={"default": 1})

    assert [attempts(db, id) for id in ids] == [[(1, "ValueError: refused: ***")]] * 2


@pytest.mark.parametrize("batch", [0, -1, 1001, True, "10", 1.5])
def test_a_size_that_cannot_be_is_refused(batch):
    """When the module is imported, not when the first job runs."""

    def index(items: Batch[int]): ...

    with pytest.raises(errors.ConfigurationError, match="use 1 to 1000"):
        job(batch=batch)(index)


def test_a_handler_that_does_not_fit_is_refused():
    """Either it takes a batch and says so, or it does not."""

    def takes_one(number: int): ...
    def takes_more(items: Batch[int], more: int): ...
    def takes_none(): ...
    def takes_untyped(items: Batch): ...
    def takes_batch(items: Batch[int]): ...

    for function in (takes_one, takes_more, takes_none, takes_untyped):
        with pytest.raises(errors.ConfigurationError, match="takes one parameter, annotated Batch"):
            job(batch=10)(function)
    with pytest.raises(errors.ConfigurationError, match=r"@job\(batch=100\)"):
        job(takes_batch)


def test_a_job_is_checked_where_it_is_made():
    """One job has one value, under a name that SQL can use."""

    @job(batch=10)
    def index(items: Batch[int]): ...

    assert index.job(5).args == {"item": 5}
    for wrong in (("x",), (), (1, 2)):
        with pytest.raises(errors.InvalidJob):
            index.job(*wrong)


def test_a_batch_made_by_hand_calls_the_function():
    """An application tests its handler without a queue."""

    @job(batch=10)
    def index(items: Batch[int]):
        for item in items:
            if item.args < 0:
                item.fail("negative")
        return len(items)

    batch = Batch.of([1, -1])

    assert index(batch) == 2
    assert [item.mark and item.mark.what for item in batch] == [None, "fail"]
    assert (len(batch[:1]), repr(batch), repr(batch[1])) == (1, "<Batch of 2>", "<Item 2, attempt 1>")


def test_marks_are_checked_where_they_are_made():
    """Not when the batch is over."""
    (item,) = Batch.of([1])
    with pytest.raises(TypeError, match="neither an exception nor a text"):
        item.fail(5)
    for delay in (-1, "x", None, float("nan")):
        with pytest.raises(errors.InvalidJob):
            item.snooze(delay)
        with pytest.raises(errors.InvalidJob):
            item.retry(delay)
    assert item.mark is None
