"""A transactional handler is handed in its connection as the application likes it: psycopg's or SQLAlchemy's."""

from typing import Any

import psycopg
import pytest
import sqlalchemy
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from pgqueue import Backoff, Batch, JobContext, enqueue, enqueue_many, errors, job
from tests.sql.verbs import value, values
from tests.worker.working import attempts, drain, states

pytestmark = pytest.mark.integration

AT_ONCE = Backoff(base=0)
TEXT = sqlalchemy.text("insert into effect values (:id, 'core')")


class Base(DeclarativeBase):
    pass


class Effect(Base):
    __tablename__ = "effect"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    note: Mapped[str]


@pytest.fixture(autouse=True)
def effect(db):
    db.execute("create table effect (id bigint primary key, note text)")


@job(transactional=True)
def on_psycopg(connection: psycopg.Connection, note: str):
    connection.execute("insert into effect values (1, %s)", [note])


@job(transactional=True)
async def on_psycopg_async(ctx: JobContext, connection: psycopg.AsyncConnection[Any], note: str):
    assert connection is ctx.connection
    await connection.execute("insert into effect values (2, %s)", [note])


@job(transactional=True)
def on_core(ctx: JobContext, connection: sqlalchemy.Connection, note: str):
    connection.execute(TEXT, {"id": 3})


@job(transactional=True)
async def on_core_async(connection: AsyncConnection, note: str):
    await connection.execute(TEXT, {"id": 4})


@job(transactional=True)
def on_session(ctx: JobContext, session: Session, note: str):
    session.add(Effect(id=5, note=note))


@job(transactional=True)
async def on_session_async(session: AsyncSession, note: str):
    session.add(Effect(id=6, note=note))


ALL = (on_psycopg, on_psycopg_async, on_core, on_core_async, on_session, on_session_async)


async def test_each_is_in_the_transaction_that_completes_the_job(dsn, db):
    """What a session still keeps for itself is written too."""
    enqueue_many(db, [task.job(task.name) for task in ALL])

    await drain(dsn)

    assert states(db) == ["completed"] * 6, values(db, "select error from pgqueue.attempt")
    together = (
        "select array_agg(e.id) from effect e join pgqueue.job_archive_completed a using (id) where a.xmin = e.xmin"
    )
    assert values(db, "select id from effect order by id") == [1, 2, 3, 4, 5, 6]
    assert sorted(value(db, together)) == [1, 2, 3, 4]  # a session writes in a savepoint, which has a number of its own


async def test_one_connection_serves_one_job_after_another(dsn, db):
    """SQLAlchemy closes what it is done with, and this is not its own."""

    @job(transactional=True)
    async def note(session: AsyncSession, number: int):
        session.add(Effect(id=number, note="x"))
        return await session.scalar(sqlalchemy.text("select pg_backend_pid()"))

    enqueue_many(db, [note.job(number) for number in range(5)])

    await drain(dsn, connections=1)

    assert states(db) == ["completed"] * 5
    assert value(db, "select count(distinct result) from pgqueue.jobs") == 1


@pytest.mark.parametrize("kind", ["async", "sync"])
async def test_an_error_undoes_what_a_session_wrote(dsn, db, kind):
    """Also what it had committed: that was a savepoint."""

    def add(ctx, session):
        session.add(Effect(id=ctx.attempt, note="x"))

    @job(transactional=True, backoff=AT_ONCE, name="writes")
    def writes(ctx: JobContext, session: Session):
        add(ctx, session)
        session.commit()
        if ctx.attempt == 1:
            raise ValueError

    async def writes_async(ctx: JobContext, session: AsyncSession):
        add(ctx, session)
        await session.commit()
        if ctx.attempt == 1:
            raise ValueError

    task = writes if kind == "sync" else job(transactional=True, backoff=AT_ONCE, name="writes_async")(writes_async)
    enqueue(db, task.job())

    await drain(dsn)

    assert (states(db), values(db, "select id from effect")) == (["completed"], [2])


@pytest.mark.parametrize("kind", ["async", "sync"])
async def test_a_rollback_of_a_session_undoes_its_own_part(dsn, db, kind):
    """And the job goes on."""

    @job(transactional=True)
    def writes(session: Session):
        session.add(Effect(id=1, note="x"))
        session.commit()
        session.add(Effect(id=2, note="x"))
        session.flush()
        session.rollback()

    @job(transactional=True)
    async def writes_async(session: AsyncSession):
        session.add(Effect(id=1, note="x"))
        await session.commit()
        session.add(Effect(id=2, note="x"))
        await session.flush()
        await session.rollback()

    enqueue(db, (writes if kind == "sync" else writes_async).job())

    await drain(dsn)

    assert (states(db), values(db, "select id from effect")) == (["completed"], [1])


async def test_a_core_connection_cannot_end_the_transaction(dsn, db):
    """It has no savepoint of its own to end."""

    @job(transactional=True)
    def commits(connection: sqlalchemy.Connection):
        connection.execute(TEXT, {"id": 1})
        connection.commit()

    id = enqueue(db, commits.job()).id

    await drain(dsn)

    assert (states(db), values(db, "select id from effect")) == (["failed"], [])
    assert attempts(db, id)[0][1].startswith("TransactionEnded: ")


async def test_jobs_enqueued_on_a_session_are_committed_with_it(dsn, db):
    """Chains, too."""

    @job(transactional=True)
    async def link(session: AsyncSession, left: int):
        if left:
            await enqueue(session, link.job(left - 1))

    enqueue(db, link.job(2))

    await drain(dsn)

    assert states(db) == ["completed"] * 3


async def test_a_batch_is_handed_it_as_well(dsn, db):
    """One session for all."""

    @job(transactional=True, batch=10)
    def index(session: Session, items: Batch[int]):
        session.add_all(Effect(id=item.id, note=str(item.args)) for item in items)

    enqueue_many(db, [index.job(number) for number in range(3)])

    await drain(dsn)

    assert states(db) == ["completed"] * 3
    assert value(db, "select count(*) from effect") == 3


def test_what_no_worker_could_hand_in_is_refused():
    """When the module is imported."""

    def takes_sync(connection: psycopg.Connection): ...
    async def takes_async(session: AsyncSession): ...
    async def takes_wrong(session: Session): ...

    for function in (takes_sync, takes_async):
        with pytest.raises(errors.ConfigurationError, match=r"@job\(transactional=True\)"):
            job(function)
    with pytest.raises(errors.ConfigurationError, match=r"is async and takes session, a sqlalchemy\.Session"):
        job(transactional=True)(takes_wrong)


def test_it_is_no_argument_of_the_job():
    """Neither where the job is made nor in SQL."""
    assert on_session.job("x").args == {"note": "x"}
    assert on_psycopg_async.job(note="y").args == {"note": "y"}
