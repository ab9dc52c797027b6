"""Producers that take no lock to know that nobody sleeps: who misses a sleeper keeps it awake, nobody else does."""

from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from tests.install import install_schema
from tests.races.steps import start
from tests.sql.bells import forget, heard, listener, marked, neighbours, park, settled, unpark
from tests.sql.keys import unique
from tests.sql.verbs import (
    A,
    abandon,
    claim,
    claimed,
    enqueue,
    enqueue_many,
    fail,
    finish,
    ids,
    release,
    snooze,
    value,
)
from tests.worker.server import own_server

pytestmark = pytest.mark.integration

LEVELS = [
    psycopg.IsolationLevel.READ_COMMITTED,
    psycopg.IsolationLevel.REPEATABLE_READ,
    psycopg.IsolationLevel.SERIALIZABLE,
]


@pytest.fixture(autouse=True)
def _clear(db):
    """Nobody sleeps, and the bits say so: else producers would ask by the lock, which these tests are not about."""
    forget(db)


# Who missed the sleeper


@pytest.mark.parametrize("level", LEVELS, ids=lambda level: level.name)
def test_who_looked_before_the_bit_was_set_keeps_the_sleeper_awake_until_it_ends(db, sessions, level):
    """It does not ring. At each level: numbers and locks are the same."""
    producer, sleeper, lane = sessions(3)
    producer.isolation_level = level

    with producer.transaction():
        id = enqueue(producer)
        assert park(sleeper) is False
        assert settled(sleeper) is False

    assert settled(sleeper) is True
    assert ids(claim(lane)) == [id]
    assert heard(sleeper, db) == []


@pytest.mark.parametrize("level", LEVELS, ids=lambda level: level.name)
def test_a_bit_is_seen_past_an_older_snapshot(db, sessions, level):
    """A row of a table would not be: so it is no table."""
    producer, sleeper = sessions(2)
    producer.isolation_level = level

    with producer.transaction():
        producer.execute("select count(*) from pgqueue.job")
        enqueue(producer, queue="another")
        park(sleeper)
        enqueue(producer)

    assert heard(sleeper, db) == ["default"]


def test_who_wrote_in_a_savepoint_keeps_it_awake(db, sessions):
    """The savepoint has a number of its own, and its lock passes on to the transaction."""
    producer, sleeper = sessions(2)

    with producer.transaction():
        with producer.transaction():
            enqueue(producer)
            assert park(sleeper) is False
        assert settled(sleeper) is False

    assert settled(sleeper) is True


def test_who_took_back_what_it_wrote_keeps_nobody_awake(db, sessions):
    """Its transaction may go on for long, but has no jobs."""
    producer, sleeper = sessions(2)

    with producer.transaction():
        producer.execute("create table made (n integer)")
        with producer.transaction(force_rollback=True):
            enqueue(producer)
        assert park(sleeper) is True


def test_a_prepared_transaction_keeps_it_awake(sessions):
    """It has no session, and survives a restart of the server; it commits some day."""
    with own_server(max_prepared_transactions="2") as server:
        server.start()
        install_schema(server.dsn)
        with psycopg.connect(server.dsn, autocommit=True) as sleeper:
            forget(sleeper)
            with psycopg.connect(server.dsn, autocommit=True) as producer:
                producer.execute("begin")
                enqueue(producer)
                producer.execute("prepare transaction 'jobs'")
            assert park(sleeper) is False
            assert settled(sleeper) is False

            sleeper.execute("commit prepared 'jobs'")

            assert settled(sleeper) is True
            assert len(claim(sleeper)) == 1


VERBS: dict[str, Callable[[psycopg.Connection, Any], object]] = {
    "enqueue": lambda conn, _: conn.execute("select pgqueue.enqueue('noop')"),
    "enqueue with options": lambda conn, _: enqueue(conn, priority=3),
    "enqueue_many": lambda conn, _: enqueue_many(conn, [{"kind": "noop"}]),
    "enqueue with a key": lambda conn, _: unique(conn),
    "release": lambda conn, job: release(conn, A, [job]),
    "fail": lambda conn, job: fail(conn, A, [job], retry_in="0"),
    "snooze": lambda conn, job: snooze(conn, A, [job], delay="0"),
}
ENDING: dict[str, Callable[[psycopg.Connection, Any], object]] = {
    "finish": lambda conn, job: finish(conn, A, [job]),
    "fail for good": lambda conn, job: fail(conn, A, [job]),
    "abandon": lambda conn, job: abandon(conn, A, [job]),
}


@pytest.mark.parametrize(
    ("verb", "place", "channel", "rings"),
    [
        *(pytest.param(verb, "default", "pgqueue", "default", id=name) for name, verb in VERBS.items()),
        *(pytest.param(verb, "@results", "pgqueue_results", None, id=name) for name, verb in ENDING.items()),
    ],
)
def test_every_verb_looks_after_it_has_written(db, sessions, verb, place, channel, rings):
    """Who looks first and writes then has neither number nor lock when the sleeper looks for it: a lost wake-up."""
    holder, producer, sleeper = sessions(3)
    job = claimed(db)
    sleeper.execute(f"listen {channel}")
    with holder.transaction():
        holder.execute("lock table pgqueue.job in share mode")  # others may not write, nor say that they will
        writing = start(producer, lambda: verb(producer, job))
        writing.waits()
        may_sleep = value(sleeper, "select pgqueue.park(%s)", [place])
    writing.result()

    assert may_sleep
    db.execute("select pg_notify(%s, 'end')", [channel])
    (first, *_) = sleeper.notifies(timeout=30, stop_after=1)
    assert first.payload == (rings or str(job.id))


# Who did not


def test_a_producer_that_came_later_keeps_nobody_awake(db, sessions):
    """It has seen the sleeper, and rings. A stream of them would keep it awake for ever, whatever else goes on."""
    first, second, other, sleeper = sessions(4)

    with second.transaction(), other.transaction():
        other.execute("create table mine (n integer)")
        with first.transaction():
            enqueue(first)
            assert park(sleeper) is False
            enqueue(second)
        assert settled(sleeper) is True


def test_a_long_transaction_that_wrote_no_job_keeps_nobody_awake(db, sessions):
    """Though it reads jobs, and others wait for its end."""
    other, sleeper = sessions(2)
    db.execute("create table mine (n integer)")

    with other.transaction():
        other.execute("insert into mine values (1)")
        other.execute("select count(*) from pgqueue.jobs")
        assert park(sleeper) is True


def test_a_worker_that_looks_and_finds_nothing_keeps_nobody_awake(db, sessions):
    """Else two idle workers would keep each other awake."""
    lane, other, sleeper = sessions(3)

    with lane.transaction(), other.transaction():
        other.execute("create table mine (n integer)")
        assert claim(lane) == []
        assert park(sleeper) is True


def test_a_producer_of_another_queue_does_keep_it_awake(db, sessions):
    """Which queue it has written for cannot be seen. It costs looks, and nobody sleeps too early."""
    producer, sleeper = sessions(2)

    with producer.transaction():
        enqueue(producer, queue="billing")
        assert park(sleeper, "mail") is False

    assert settled(sleeper, "mail") is True


def test_who_writes_jobs_of_another_database_keeps_nobody_awake(db, sessions, elsewhere):
    """Numbers and locks are the whole server's."""
    (sleeper,) = sessions(1)

    with elsewhere.transaction():
        enqueue(elsewhere)
        assert park(sleeper) is True


def test_each_queue_of_a_session_waits_for_its_own_producers(db, sessions):
    """A queue that parks often must not keep the others of its worker awake."""
    producer, sleeper = sessions(2)
    with producer.transaction():
        producer.execute("select 1")
        assert park(sleeper, "one") is True
        enqueue(producer, queue="other")
        assert park(sleeper, "other") is False
        assert settled(sleeper, "one") is True
        assert settled(sleeper, "other") is False


# Rings for nobody


def test_two_producers_that_meet_do_not_take_each_other_for_a_sleeper(db, sessions):
    """Neither has a lock that the other could find."""
    awake, other = listener(sessions), listener(sessions)
    other.execute("select pg_advisory_lock(1885827330, hashtext('default'))")  # as one that asks, in that instant

    enqueue(db)

    assert heard(awake, db) == []


def test_of_two_queues_that_share_a_bit_only_the_sleepers_is_rung(db, sessions):
    """The bit says perhaps; the lock, which is the queue's own, says who."""
    one, other = neighbours(db)
    sleeper = listener(sessions, parked=one)

    enqueue(db, queue=other)
    assert marked(db, other)
    assert heard(sleeper, db) == []

    enqueue(db, queue=one)
    assert heard(sleeper, db) == [one]


def test_a_bit_that_nobody_has_cleared_yet_rings_for_nobody(db, sessions):
    """The leader clears it at its next tick; until then the lock tells."""
    sleeper = listener(sessions, parked="default")
    unpark(sleeper)

    enqueue(db)

    assert marked(db)
    assert heard(sleeper, db) == []


# Setting and clearing at once


def test_who_clears_meanwhile_takes_no_sleepers_bit(db, sessions):
    """It has listed the sleepers, and writes what it saw: who parks in between sets its bit after that."""
    clearing, sleeper = sessions(2)

    with clearing.transaction():
        forget(clearing)
        parking = start(sleeper, lambda: park(sleeper))
        parking.waits()

    assert parking.result() is True
    assert marked(db)
    enqueue(db)
    assert heard(sleeper, db) == ["default"]


def test_who_parked_a_moment_ago_is_seen_by_who_clears(db, sessions):
    """It has parked and waits for its turn to set the bit. What it finds set must stay."""
    clearing, first, second = sessions(3)
    park(first)

    with clearing.transaction():
        clearing.execute("select pg_advisory_xact_lock(1885827335, 0)")
        parking = start(second, lambda: park(second))
        parking.waits()
        unpark(first)
        forget(clearing)
        assert marked(db)

    assert parking.result() is True
    assert marked(db)


def test_who_clears_waits_for_nobody(db, sessions):
    """It does so in passing, at the tick that keeps its worker alive."""
    (sleeper,) = sessions(1)
    db.execute("set lock_timeout = 1")

    with sleeper.transaction():
        park(sleeper)
        forget(db)

    assert marked(db)


def test_two_that_park_at_once_both_set_their_bit(db, sessions):
    """Each reads all bits and writes them back."""
    one, other = sessions(2)

    with one.transaction():
        park(one, "one")
        parking = start(other, lambda: park(other, "other"))
        parking.waits()

    assert parking.result() is True
    assert [marked(db, "one"), marked(db, "other")] == [True, True]


def test_a_crash_of_the_server_forgets_the_bits_and_nobody_is_missed(db):
    """What was cleared before it may be needed after it: nothing is known, so producers ask by the lock."""
    with own_server() as server:
        server.start()
        install_schema(server.dsn)
        with psycopg.connect(server.dsn, autocommit=True) as before:
            forget(before)
            assert marked(before) is False

        server.restart("immediate")

        with psycopg.connect(server.dsn, autocommit=True) as sleeper, psycopg.connect(server.dsn) as producer:
            assert marked(sleeper) is None
            assert park(sleeper) is True
            enqueue(producer)
            producer.commit()
            assert heard(sleeper, sleeper) == ["default"]
