"""What a type checker must say of code that uses pgqueue; test_typing.py compares.

A comment `# E: code` is an error mypy must find in that line, `# R: type` what it must reveal. Never run.
"""

from typing import Any, reveal_type

import psycopg
import sqlalchemy
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession
from sqlalchemy.orm import Session

from pgqueue import (
    Backoff,
    Batch,
    Job,
    JobContext,
    Schedule,
    cron,
    enqueue,
    enqueue_many,
    every,
    job,
    pause_schedule,
    retry,
    schedule,
)


class LikeAsyncpg:
    """The signatures of asyncpg's Connection, which has no types of its own."""

    async def fetch(self, query: str, *args: Any, timeout: float | None = None, record_class: Any = None) -> list[Any]:
        return []

    def get_server_pid(self) -> int:
        return 0


@job
def plain(invoice_id: int, currency: str = "EUR") -> str:
    return currency


@job(queue="billing", max_attempts=5, timeout=30, backoff=Backoff(base=2))
def charge(ctx: JobContext, invoice_id: int, *, currency: str = "EUR") -> None: ...


@job
async def fetch(ctx: JobContext, url: str) -> bytes:
    return b""


@job(priority=0)
async def send(address: str, retries: int | None = None) -> int:
    return 1


@job(batch=100)
def index(items: Batch[str]) -> None:
    reveal_type(items[0].args)  # R: str


@job(batch=100, queue="search")
async def index_slowly(ctx: JobContext, items: Batch[dict[str, int]]) -> None:
    for item in items:
        reveal_type(item)  # R: pgqueue.batch.Item[dict[str, int]]


@cron("0 9 * * mon-fri", tz="Europe/Berlin", missed=3)
@job(queue="reports")
def above(month: int) -> str:
    return ""


@job
@every(minutes=5, overlap="skip")
async def below(month: int) -> None: ...


@cron("@daily", colour="red")  # E: call-arg
@job
def wrong_option() -> None: ...


@every(minutes=5, overlap="maybe")  # E: arg-type,typeddict-item
@job
def wrong_overlap() -> None: ...


async def scheduled(conn: psycopg.Connection, aconn: psycopg.AsyncConnection) -> None:
    reveal_type(schedule(conn, Schedule("a", above.job(5), every=60)).created)  # R: bool
    reveal_type((await schedule(aconn, Schedule("a", below.job(5), cron="@daily"))).created)  # R: bool
    await pause_schedule(aconn, "a")
    above.job("five")  # E: arg-type
    below.job("five")  # E: arg-type


@job(transactional=True)
async def book(ctx: JobContext, connection: psycopg.AsyncConnection, invoice: int) -> None: ...


@job(transactional=True, queue="books")
def book_on_session(session: Session, invoice: int, *, note: str = "") -> None: ...


async def fetch_rate(currency: str) -> float:
    return 1.0


async def steps(ctx: JobContext) -> None:
    reveal_type(await ctx.once("rate", fetch_rate, "EUR"))  # R: Any
    reveal_type(ctx.once("rate", fetch_rate, currency="EUR"))  # R: typing.Awaitable[Any]
    ctx.once("sum", sum, [1, 2])
    ctx.once("said", lambda: print("said"))
    ctx.once("mailed")
    ctx.once("rate", fetch_rate)  # E: call-overload
    ctx.once("rate", fetch_rate, 5)  # E: call-overload
    ctx.once("rate", fetch_rate, land="EUR")  # E: call-overload
    ctx.once("rate", 5)  # E: call-overload
    ctx.once(5)  # E: call-overload


def right() -> None:
    book.job(1)
    book_on_session.job(1, note="x")
    index.job("a")
    index_slowly.job({"a": 1})
    index(Batch.of(["a"]))
    plain.job(1)
    plain.job(1, "USD")
    plain.job(invoice_id=1, currency="USD")
    charge.job(1)
    charge.job(invoice_id=1, currency="USD")
    fetch.job("https://example.org")
    send.job("a@example.org", retries=None)
    charge.job(1).options(priority=0, delay=60)
    print(charge.__name__, charge.__qualname__)


def wrong() -> None:
    book.job("x")  # E: arg-type
    book.job()  # E: call-arg
    book_on_session.job(1, 2)  # E: call-arg,arg-type
    index.job(1)  # E: arg-type
    index.job()  # E: call-arg
    index_slowly.job("a")  # E: arg-type
    index("a")  # E: arg-type
    plain.job("x")  # E: arg-type
    plain.job()  # E: call-arg
    plain.job(1, 2)  # E: arg-type
    plain.job(1, nope=1)  # E: call-arg
    charge.job("x")  # E: arg-type
    charge.job(nope=1)  # E: call-arg
    charge.job(1, "USD")  # E: call-arg
    fetch.job(1)  # E: arg-type
    fetch.job()  # E: call-arg
    send.job(retries=1)  # E: call-arg
    send.job("a@example.org", retries="x")  # E: arg-type
    charge.job(1).options(priority="high")  # E: typeddict-item,arg-type
    charge.job(1).options(nope=1)  # E: call-arg
    Job("charge", priority="high")  # E: arg-type
    charge(1)  # E: call-arg,arg-type
    job(queue=5)  # E: call-overload


def still_the_function(ctx: JobContext) -> None:
    reveal_type(plain(1))  # R: str
    reveal_type(charge.job(1))  # R: pgqueue.job.Job
    plain("x")  # E: arg-type
    charge(ctx, 1, currency="USD")


async def awaited(ctx: JobContext) -> None:
    reveal_type(await fetch(ctx, "https://example.org"))  # R: bytes
    reveal_type(await send("a@example.org"))  # R: int


def sync(
    connection: psycopg.Connection[dict[str, Any]],
    session: Session,
    core: sqlalchemy.Connection,
    cursor: psycopg.Cursor,
) -> None:
    reveal_type(enqueue(connection, plain.job(1)))  # R: tuple[int, bool, fallback=pgqueue.job.Enqueued]
    reveal_type(enqueue(session, plain.job(1)))  # R: tuple[int, bool, fallback=pgqueue.job.Enqueued]
    reveal_type(enqueue_many(core, [plain.job(1)]))  # R: list[tuple[int, bool, fallback=pgqueue.job.Enqueued]]
    reveal_type(retry(connection, 1))  # R: None
    enqueue(None, plain.job(1))  # E: call-overload
    enqueue(cursor, plain.job(1))  # E: call-overload
    enqueue(connection, plain)  # E: call-overload
    enqueue(connection, [plain.job(1)])  # E: call-overload
    enqueue_many(connection, plain.job(1))  # E: call-overload


async def asynchronous(
    connection: psycopg.AsyncConnection[Any],
    session: AsyncSession,
    core: AsyncConnection,
    postgres: LikeAsyncpg,
) -> None:
    reveal_type(await enqueue(connection, plain.job(1)))  # R: tuple[int, bool, fallback=pgqueue.job.Enqueued]
    reveal_type(await enqueue(session, plain.job(1)))  # R: tuple[int, bool, fallback=pgqueue.job.Enqueued]
    reveal_type(await enqueue_many(core, [plain.job(1)]))  # R: list[tuple[int, bool, fallback=pgqueue.job.Enqueued]]
    reveal_type(await retry(connection, 1))  # R: None
    reveal_type(await enqueue(postgres, plain.job(1)))  # R: tuple[int, bool, fallback=pgqueue.job.Enqueued]
    print(enqueue(connection, plain.job(1)).id)  # E: attr-defined,union-attr
