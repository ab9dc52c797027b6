"""What enqueue refuses never reaches the table, and the caller's transaction goes on."""

from collections.abc import Callable
from typing import Any

import asyncpg
import psycopg
import pytest
import sqlalchemy as sa
from psycopg_pool import ConnectionPool
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.orm import sessionmaker
from sqlalchemy.pool import NullPool

import pgqueue
from pgqueue import Job, cancel, enqueue, enqueue_many, find_unique, job, pause_schedule, retry
from pgqueue.errors import InvalidJob, JobNotFound, UnsupportedConnection, WrongState
from tests.client.kinds import engine_url

pytestmark = pytest.mark.integration


@job
def charge(invoice_id: int) -> None: ...


WRONG: list[tuple[Callable[[], Any], str]] = [
    (lambda: charge.job("x"), "invoice_id: Input should be a valid integer (got 'x')"),
    (lambda: Job("charge", {"at": object()}), "at=<object"),
    (lambda: Job("charge", {"note": "\0"}), "U+0000"),
    (lambda: Job("charge", priority=12), "priority 12"),
    (lambda: Job("charge", queue="a b"), "'a b' has a space"),
    (lambda: Job("charge", {"x": "y" * 2**20}), "the limit is 1,048,576"),
    (lambda: charge, "<Task charge> is a Task, not a Job"),
    (lambda: "charge", "'charge' is a str, not a Job"),
    (lambda: None, "None is a NoneType, not a Job"),
]


async def test_a_wrong_job_does_not_abort_the_transaction(caller, kinds_of_jobs):
    """The caller may catch the error and commit the rest."""
    await caller.enqueue(Job("before"))
    for make, said in WRONG:
        with pytest.raises(InvalidJob) as refused:
            await caller.enqueue(make())
        with pytest.raises(InvalidJob):
            await caller.enqueue_many(iter([make()]))
        assert said in str(refused.value)
        assert not isinstance(refused.value.__cause__, InvalidJob)
    await caller.enqueue(Job("after"))
    await caller.commit()

    assert kinds_of_jobs() == ["before", "after"]


@pytest.mark.parametrize("jobs", [Job("one"), None, 5, [Job("one"), "two"], "one", {"one": Job("one")}])
def test_enqueue_many_takes_jobs_only(db, kinds_of_jobs, jobs):
    """The error says what came instead."""
    with pytest.raises(InvalidJob, match=r"not a Job|give an iterable of Job"):
        enqueue_many(db, jobs)
    assert kinds_of_jobs() == []


async def test_what_is_no_connection_is_refused_with_what_to_give(dsn, db, kinds_of_jobs):
    """By every verb, at once, awaited or not: by name and not by AttributeError."""
    no_connections = [
        None,
        dsn,
        psycopg.Connection,
        db.cursor(),
        sa.create_engine(engine_url(dsn)),
        sessionmaker(sa.create_engine(engine_url(dsn))),
        create_async_engine(engine_url(dsn)),
        ConnectionPool(dsn, open=False),
        asyncpg.create_pool(dsn, min_size=0),
    ]
    for thing in no_connections:
        for call in (
            lambda: enqueue(thing, Job("charge")),  # noqa: B023
            lambda: enqueue_many(thing, [Job("charge")]),  # noqa: B023
            lambda: cancel(thing, 1),  # noqa: B023
            lambda: retry(thing, 1),  # noqa: B023
            lambda: pause_schedule(thing, "nightly"),  # noqa: B023
            lambda: find_unique(thing, "charge", "key"),  # noqa: B023
        ):
            with pytest.raises(UnsupportedConnection, match=r", is no connection .*; give an open psycopg Connection"):
                call()
    assert kinds_of_jobs() == []


def test_an_async_connection_that_was_not_started_is_refused(dsn):
    """SQLAlchemy's own error would speak of greenlets."""
    with pytest.raises(UnsupportedConnection, match="use it inside `async with"):
        enqueue(create_async_engine(engine_url(dsn)).connect(), Job("charge"))


def test_another_database_is_refused():
    """The queue is a schema in Postgres."""
    engine = sa.create_engine("sqlite://", poolclass=NullPool)
    with engine.connect() as connection, pytest.raises(UnsupportedConnection, match="leads to a sqlite database"):
        enqueue(connection, Job("charge"))


def test_a_password_in_a_dsn_is_not_repeated():
    """Errors end up in logs."""
    with pytest.raises(UnsupportedConnection) as refused:
        enqueue("postgresql://me:secret@db/app", Job("charge"))
    assert "secret" not in str(refused.value)


async def test_an_unknown_job_is_refused_as_ours_on_every_kind(caller):
    """The server's SQLSTATE is mapped, however deep the driver hides it."""
    with pytest.raises(JobNotFound, match=r"job 42 does not exist\. It may have finished") as refused:
        await caller.run(cancel, 42)
    await caller.rollback()
    assert refused.value.__cause__ is not None


async def test_a_wrong_state_is_refused_as_ours_on_every_kind(caller):
    """It names the job, its state and the rule."""
    enqueued = await caller.enqueue(Job("charge"))
    with pytest.raises(WrongState, match=rf"job {enqueued.id} is ready: only failed, cancelled and expired"):
        await caller.run(retry, enqueued.id)
    await caller.rollback()


async def test_cancel_works_on_every_kind(caller, db):
    """It is in the caller's transaction as well."""
    enqueued = await caller.enqueue(Job("charge"))
    await caller.run(cancel, enqueued.id, "not needed: 100 % sure")
    await caller.commit()

    assert db.execute("select state, error from pgqueue.jobs").fetchall() == [("cancelled", "not needed: 100 % sure")]


async def test_a_cancelled_job_comes_back_on_every_kind(caller, db):
    """Under its own number, by `from pgqueue import retry`: no module has that name."""
    enqueued = enqueue(db, Job("charge"))
    cancel(db, enqueued.id)

    await caller.run(pgqueue.retry, enqueued.id)
    await caller.commit()

    assert db.execute("select id, state from pgqueue.jobs").fetchall() == [(enqueued.id, "ready")]


@pytest.mark.parametrize("id", [0, -1, 2**63, "7", None, True, 1.0])
def test_what_is_no_id_is_refused_without_a_query(dsn, id):
    """A cast that fails in the database would abort the transaction."""
    with psycopg.connect(dsn) as connection:
        for verb in (cancel, retry):
            with pytest.raises(JobNotFound, match="is no job id"):
                verb(connection, id)
        assert connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE


def test_an_error_of_the_drivers_stays_the_drivers(dsn):
    """A closed connection, a cancelled statement: the application knows them by their own names."""
    connection = psycopg.connect(dsn)
    connection.close()
    with pytest.raises(psycopg.OperationalError, match="closed"):
        enqueue(connection, Job("charge"))


def test_a_broken_transaction_stays_the_callers_problem(dsn):
    """We neither roll back nor pretend."""
    with psycopg.connect(dsn) as connection:
        with pytest.raises(psycopg.errors.DivisionByZero):
            connection.execute("select 1 / 0")
        with pytest.raises(psycopg.errors.InFailedSqlTransaction):
            enqueue(connection, Job("charge"))
        connection.rollback()
        assert enqueue(connection, Job("charge")).created
