"""enqueue_many: many jobs in few round trips, and any number of callers at once."""

import threading
from collections.abc import Iterator

import psycopg
import pytest

from pgqueue import Job, enqueue, enqueue_many
from pgqueue.client import CHUNK_BYTES, _chunks
from pgqueue.errors import InvalidJob
from pgqueue.job import MAX_ARGS_BYTES

pytestmark = pytest.mark.integration


def test_25_000_jobs_keep_their_order(db):
    """Three round trips, one list."""
    jobs = [Job("noop", {"number": number}) for number in range(25_000)]
    enqueued = enqueue_many(db, jobs)

    found = db.execute("select j.id, (j.args->>'number')::integer from pgqueue.job j order by j.id").fetchall()
    assert found == [(one.id, number) for number, one in enumerate(enqueued)]
    assert all(one.created for one in enqueued)


def test_a_generator_is_read_as_it_goes(db):
    """A million jobs need not be in memory at once."""
    seen: list[int] = []

    def jobs() -> Iterator[Job]:
        for number in range(10_001):
            if number == 10_000:
                seen.extend(db.execute("select count(*) from pgqueue.job").fetchone())
            yield Job("noop")

    assert len(enqueue_many(db, jobs())) == 10_001
    assert seen == [10_000]


def test_no_jobs_are_no_error(db, kinds_of_jobs):
    """`enqueue_many(conn, [… for … in nothing])`."""
    assert enqueue_many(db, []) == enqueue_many(db, iter(())) == []
    assert kinds_of_jobs() == []


async def test_no_jobs_are_no_error_on_any_kind(caller):
    """Async kinds give a list to await all the same."""
    assert await caller.enqueue_many([]) == []


def test_one_bad_job_among_many_in_a_transaction_leaves_none(dsn, kinds_of_jobs):
    """Even if it comes after the first round trip."""
    numbers = [*range(15_000), "bad"]
    with pytest.raises(InvalidJob), psycopg.connect(dsn) as connection:
        enqueue_many(connection, (Job("noop", priority=5 if number != "bad" else 12) for number in numbers))
    assert kinds_of_jobs() == []


def test_large_arguments_go_in_several_round_trips(db):
    """The server refuses a JSON array of more than 256 MiB, and nobody wants to hold one."""
    largest = Job("noop", {"x": "y" * (MAX_ARGS_BYTES - 9)})
    sizes = [sum(len(job.payload) for job in chunk) for chunk in _chunks([largest] * 300)]

    assert sum(sizes) == 300 * MAX_ARGS_BYTES
    assert max(sizes) <= CHUNK_BYTES
    assert len(enqueue_many(db, [largest] * 33)) == 33


def test_jobs_for_several_queues_in_one_call(db):
    """One call need not be one queue."""
    enqueue_many(db, [Job("a", queue="mail"), Job("b", queue="billing"), Job("c", queue="mail")])
    assert db.execute("select queue, ready from pgqueue.queue_stats order by queue").fetchall() == [
        ("billing", 1),
        ("mail", 2),
    ]


def test_50_producers_at_once(dsn, db):
    """Each in a thread with its own connection, none loses or doubles a job."""
    failures: list[BaseException] = []

    def produce(number: int) -> None:
        try:
            with psycopg.connect(dsn) as connection:
                for _ in range(4):
                    enqueue(connection, Job(f"single{number}"))
                    enqueue_many(connection, [Job(f"many{number}")] * 5)
                    connection.commit()
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=produce, args=[number]) for number in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []
    per_kind = db.execute("select kind, count(*) from pgqueue.jobs group by kind").fetchall()
    assert dict(per_kind) == {f"single{n}": 4 for n in range(50)} | {f"many{n}": 20 for n in range(50)}


@pytest.mark.parametrize("level", ["REPEATABLE_READ", "SERIALIZABLE"])
def test_any_isolation_level(dsn, sessions, kinds_of_jobs, level):
    """Producers of one queue do not conflict: they share no row."""
    connections = sessions(3)
    for connection in connections:
        connection.isolation_level = psycopg.IsolationLevel[level]
        connection.autocommit = False
        connection.execute("select count(*) from pgqueue.queue").fetchone()
    for connection in connections:
        enqueue(connection, Job("one"))
        enqueue_many(connection, [Job("two"), Job("two")])
    for connection in connections:
        connection.commit()

    assert sorted(kinds_of_jobs()) == ["one"] * 3 + ["two"] * 6


def test_a_job_in_a_savepoint_goes_with_it(dsn, kinds_of_jobs):
    """`with conn.transaction()` inside a transaction is a savepoint."""
    with psycopg.connect(dsn) as connection:
        enqueue(connection, Job("kept"))
        with connection.transaction(force_rollback=True):
            enqueue(connection, Job("dropped"))
    assert kinds_of_jobs() == ["kept"]
