"""Arguments from the database: written by an older deploy, by another language, by hand."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from pgqueue import Job, JobContext, enqueue, enqueue_many, job
from tests.sql.verbs import enqueue as enqueue_in_sql
from tests.sql.verbs import row
from tests.unit.values import VALUES
from tests.worker.working import attempts, drain, states

pytestmark = pytest.mark.integration


async def test_arguments_that_no_longer_fit_fail_their_job_with_a_readable_error(dsn, db):
    """The handler has changed since. The same arguments will never fit: no second attempt."""

    @job
    async def charge(invoice: int, note: str = ""):
        raise AssertionError("never called")

    jobs = {
        "missing": Job("charge", {}),
        "of the wrong type": Job("charge", {"invoice": "forty"}),
        "unknown": Job("charge", {"invoice": 1, "amount": 5}),
    }
    ids = {name: enqueue(db, one).id for name, one in jobs.items()}

    await drain(dsn)

    errors = {name: row(db, "select state, error from pgqueue.jobs where id = %s", [id]) for name, id in ids.items()}
    assert {found.state for found in errors.values()} == {"failed"}
    assert "invoice: Field required" in errors["missing"].error
    assert "invoice: Input should be a valid integer" in errors["of the wrong type"].error
    assert "amount: Extra inputs are not permitted" in errors["unknown"].error
    assert all("charge(invoice: int, note: str = '')" in found.error for found in errors.values())
    assert all(len(attempts(db, id)) == 1 for id in ids.values())


@pytest.mark.parametrize(
    "args",
    ['{"n": 1e5000}', '{"n": ' + "[" * 2_000 + "]" * 2_000 + "}"],
    ids=["a number of thousands of digits", "thousands of levels"],
)
async def test_arguments_that_python_cannot_read_fail_their_job_alone(dsn, db, args):
    """Postgres stores what Python's JSON refuses. One such job must not stop each worker that meets it."""

    @job
    async def takes(n: object = None):
        pass

    broken = db.execute("select id from pgqueue.enqueue('takes', %s::jsonb)", [args]).fetchone()[0]
    enqueue_many(db, [takes.job(1) for _ in range(3)])

    await drain(dsn)

    assert states(db) == ["failed"] + ["completed"] * 3
    assert (
        "stored arguments do not fit takes" in row(db, "select error from pgqueue.jobs where id = %s", [broken]).error
    )


async def test_arguments_from_sql_become_what_the_type_hints_say(dsn, db):
    """A trigger or another language writes plain JSON; the handler gets its own types."""
    seen = []

    @job
    async def charge(at: datetime, amounts: dict[str, Decimal]):
        seen.append((at, amounts))

    enqueue_in_sql(db, "charge", args={"at": "2026-01-31T00:00:00Z", "amounts": {"eur": "1.10"}})

    await drain(dsn)

    assert seen == [(datetime(2026, 1, 31, tzinfo=UTC), {"eur": Decimal("1.10")})]


async def test_every_value_comes_back_from_the_database_as_it_was(dsn, db):
    """Equal and of the same type. jsonb has its own ideas of numbers and of the order of keys."""
    seen = {}

    def task_of(number, hint):
        def handler(value):
            seen[number] = value

        handler.__annotations__["value"] = hint
        return job(name=f"takes_{number}")(handler)

    jobs = [task_of(number, hint).job(value) for number, (hint, value) in enumerate(VALUES)]
    enqueue_many(db, jobs)

    await drain(dsn)

    assert set(states(db)) == {"completed"}
    for number, (hint, value) in enumerate(VALUES):
        assert seen[number] == value, hint
        assert type(seen[number]) is (float if hint is float else type(value)), hint


async def test_a_job_under_a_former_name_runs_under_the_new_one(dsn, db):
    """It was enqueued before the deploy that renamed the function, by a producer that still has the old code."""
    seen = []

    @job(aliases=["charge_card"])
    async def charge(context: JobContext, invoice: int):
        seen.append((context.kind, invoice))

    enqueue(db, Job("charge_card", {"invoice": 1}))
    enqueue(db, charge.job(2))

    await drain(dsn)

    assert sorted(seen) == [("charge", 2), ("charge_card", 1)]
    assert states(db) == ["completed", "completed"]
