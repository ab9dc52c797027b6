"""Producers meet at one key, with each other, with a worker, with an operator."""

import concurrent.futures
import threading

import psycopg
import pytest

from tests.races.steps import start
from tests.sql.bells import park, settled
from tests.sql.keys import LEVELS, find, follow, release_key, running, unique
from tests.sql.verbs import A, cancel, claim, enqueue_many, fail, finish, ids, live, retry, row, state, value

pytestmark = pytest.mark.integration

PRODUCERS = 50


@pytest.mark.parametrize("conflict", ["keep", "replace", "debounce", "latest"])
@pytest.mark.parametrize("level", LEVELS)
def test_of_fifty_producers_one_makes_the_job_and_all_know_its_id(dsn, db, level, conflict):
    """Each in a transaction with a snapshot from before, a row of its own, and no error."""
    db.execute("create table written (by integer)")
    ready = threading.Barrier(PRODUCERS, timeout=60)

    def produce(number: int) -> tuple[int | None, bool]:
        with psycopg.connect(dsn) as conn:
            conn.execute(f"set transaction isolation level {level}")
            conn.execute("select count(*) from pgqueue.job")
            ready.wait()
            conn.execute("insert into written values (%s)", [number])
            made = unique(conn, args={"n": number}, on_conflict=conflict)
        return made.id, made.created

    with concurrent.futures.ThreadPoolExecutor(PRODUCERS) as pool:
        answers = list(pool.map(produce, range(PRODUCERS)))

    assert sorted(created for _, created in answers) == [False] * (PRODUCERS - 1) + [True]
    assert {id for id, _ in answers} == {value(db, "select id from pgqueue.job")}
    assert value(db, "select count(*) from written") == PRODUCERS


@pytest.mark.parametrize("level", LEVELS)
def test_a_producer_waits_for_one_that_is_taking_the_key_and_is_told_its_job(sessions, level):
    """Whether there will be a job is not known before."""
    one, other = sessions(2)
    other.execute(f"set default_transaction_isolation = '{level}'")

    with one.transaction():
        first = unique(one)
        second = start(other, lambda: unique(other))
        second.waits()

    assert second.result() == (first.id, False)


def test_two_that_ask_past_their_snapshots_do_not_wait_for_each_other(sessions):
    """Each asks by an attempt to take the key. Postgres would find a deadlock and end the transaction of one."""
    one, other = sessions(2)
    other.execute("set statement_timeout = '20s'")

    with one.transaction():
        one.execute("insert into pgqueue.unique_key (scope, key, job) values ('noop', 'k', 0)")
        assert value(other, "select held from pgqueue.key_holder('noop', 'k')") is None


@pytest.mark.parametrize("level", ["repeatable read", "serializable"])
def test_past_a_snapshot_too_a_producer_waits_for_one_that_is_taking_the_key(db, sessions, level):
    """It asked who holds the key, and could not be told yet."""
    one, other = sessions(2)
    first = unique(db)
    other.execute(f"begin isolation level {level}")
    other.execute("select from pgqueue.job")
    db.execute("update pgqueue.unique_key set until = until")

    with one.transaction():
        one.execute("update pgqueue.unique_key set until = until")
        second = start(other, lambda: unique(other, on_conflict="replace"))
        second.waits()

    assert second.result() == (first.id, False)
    other.execute("commit")


@pytest.mark.parametrize("level", LEVELS)
def test_if_that_one_rolls_back_the_key_is_the_other_ones(db, sessions, level):
    """Or the job would be lost: one rolled back, the other kept what never was."""
    one, other = sessions(2)
    other.execute(f"set default_transaction_isolation = '{level}'")

    with one.transaction(force_rollback=True):
        unique(one)
        second = start(other, lambda: unique(other))
        second.waits()

    assert second.result().created
    assert find(db) == second.result().id


def test_who_only_keeps_the_job_waits_for_nobody(db, sessions):
    """Fifty requests for one page must not queue up behind each other's transactions."""
    first = unique(db, unique_until="started")
    one, other = sessions(2)
    other.execute("set lock_timeout = 1")

    with one.transaction():
        assert unique(one, unique_until="started").id == first.id
        assert unique(other, unique_until="started").id == first.id


def test_of_two_that_find_the_holder_done_one_takes_its_place(db, sessions):
    """And the other is told."""
    one, other = sessions(2)
    cancel(db, unique(db).id)

    with one.transaction():
        first = unique(one)
        second = start(other, lambda: unique(other))
        second.waits()

    assert first.created
    assert second.result() == (first.id, False)


@pytest.mark.parametrize("conflict", ["keep", "replace", "debounce"])
def test_until_started_the_job_starts_after_the_duplicate_has_committed(db, sessions, conflict):
    """So it sees what that transaction wrote; if not, a change would be lost."""
    first = unique(db, unique_until="started")
    producer, worker = sessions(2)

    with producer.transaction():
        unique(producer, unique_until="started", on_conflict=conflict)
        assert claim(worker) == []
        park(worker)
        assert not settled(worker)  # so the worker keeps looking, also after a rollback

    assert settled(worker)
    assert ids(claim(worker)) == [first.id]


def test_a_duplicate_that_meets_a_claim_under_way_waits_for_it_and_follows(db, sessions):
    """The job starts now, maybe before this transaction has written anything."""
    producer, worker = sessions(2)
    first = unique(db, unique_until="started")

    with worker.transaction():
        claim(worker)
        second = start(producer, lambda: unique(producer, unique_until="started"))
        second.waits()

    assert second.result().created
    assert second.result().id != first.id


@pytest.mark.parametrize(("conflict", "created"), [("replace", False), ("latest", True)])
def test_a_change_that_meets_a_claim_under_way_comes_too_late(db, sessions, conflict, created):
    """The job runs with what it was claimed with."""
    producer, worker = sessions(2)
    first = unique(db, args={"n": 1})

    with worker.transaction():
        (taken,) = claim(worker)
        changing = start(producer, lambda: unique(producer, args={"n": 2}, on_conflict=conflict))
        changing.waits()

    assert changing.result().created is created
    assert (taken.args, live(db, first.id).args) == ({"n": 1}, {"n": 1})


def test_a_worker_finishes_while_a_producer_holds_the_key(db, sessions):
    """Nothing a worker does may wait for a producer's transaction."""
    producer, worker = sessions(2)
    unique(db)
    taken = running(worker)
    worker.execute("set lock_timeout = 1")

    with producer.transaction():
        unique(producer)
        unique(producer, on_conflict="replace")
        unique(producer, on_conflict="latest")
        assert finish(worker, A, [taken]) == []


def test_two_lists_with_the_same_keys_in_other_orders_do_not_deadlock(db, sessions):
    """Keys are taken in one order, whatever that of the list."""
    one, other = sessions(2)
    names = [f"k{n}" for n in range(20)]
    forwards = [{"kind": "noop", "unique_key": name} for name in names]

    with one.transaction():
        made = enqueue_many(one, forwards[:1] + forwards[10:])
        waiting = start(other, lambda: enqueue_many(other, forwards[::-1]))
        waiting.waits()
        made += enqueue_many(one, forwards[1:10])

    assert sorted(waiting.result()) == sorted(made)


def test_a_key_released_while_a_producer_looks_at_it_is_taken_anew(db, sessions):
    """The row it waited for is gone."""
    operator, producer = sessions(2)
    first = unique(db)

    with operator.transaction():
        release_key(operator)
        second = start(producer, lambda: unique(producer))
        second.waits()

    assert second.result().created
    assert second.result().id != first.id


def test_a_retry_and_a_new_job_of_the_key_both_succeed(db, sessions):
    """Neither sees the other; the key is with the new one."""
    operator, producer = sessions(2)
    first = unique(db)
    fail(db, A, [running(db)])

    with operator.transaction():
        retry(operator, first.id)
        second = unique(producer)

    assert second.created
    assert (state(db, first.id), find(db)) == ("ready", second.id)


def test_a_job_claimed_again_while_another_waits_for_it_is_not_followed(db, sessions):
    """Two would run."""
    worker, leader = sessions(2)
    leader.execute("set statement_timeout = '10s'")
    unique(db)
    taken = running(db)
    unique(db, on_conflict="latest")
    fail(db, A, [taken], retry_in="0")

    with worker.transaction():
        running(worker)
        assert follow(leader) == 0
    assert follow(leader) == 0

    assert value(db, "select count(*) from pgqueue.jobs where state = 'cancelled'") == 0


def test_a_leader_does_not_wait_for_a_producer_that_holds_a_key(db, sessions):
    """Rescue and expiry come with the same tick."""
    producer, leader = sessions(2)
    unique(db)
    taken = running(db)
    unique(db, on_conflict="latest")
    finish(db, A, [taken])
    leader.execute("set lock_timeout = 1")

    with producer.transaction():
        row(producer, "select from pgqueue.unique_key for update")
        assert follow(leader) == 0
    assert follow(leader) == 1
