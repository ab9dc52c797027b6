"""wake: a ring at commit, and only if somebody sleeps."""

import pytest

from tests.sql.bells import heard, listener, unpark
from tests.sql.verbs import (
    A,
    claim,
    claimed,
    dead_worker,
    enqueue,
    enqueue_many,
    fail,
    finish,
    live,
    reconcile,
    register,
    release,
    rescue,
    retry,
    snooze,
    value,
)

pytestmark = pytest.mark.integration


def test_nothing_rings_while_nobody_sleeps(db, sessions):
    """A transaction that notifies takes a lock that lets only one producer commit at a time."""
    awake = listener(sessions)

    enqueue(db)
    enqueue_many(db, [{"kind": "noop"}, {"kind": "noop", "delay": "1 hour"}])
    (first, second) = claim(db, A, 2)
    release(db, A, [first])
    fail(db, A, [second], retry_in="0")

    assert heard(awake, db) == []


def test_a_sleeper_is_rung_by_a_new_job(db, sessions):
    """This is what it sleeps for."""
    sleeper = listener(sessions, parked="default")

    enqueue(db)

    assert heard(sleeper, db) == ["default"]


def test_a_sleeper_of_another_queue_is_left_alone(db, sessions):
    """Or every job would wake the whole fleet."""
    sleeper = listener(sessions, parked="mail")

    enqueue(db, queue="billing")

    assert heard(sleeper, db) == []


def test_the_ring_comes_at_commit_and_not_before(db, sessions):
    """A worker that looks too early finds nothing and sleeps again."""
    sleeper = listener(sessions, parked="default")
    (producer,) = sessions(1)

    with producer.transaction():
        enqueue(producer)
        assert heard(sleeper, db) == []

    assert heard(sleeper, db) == ["default"]


def test_a_rollback_rings_nobody(db, sessions):
    """There is nothing to do."""
    sleeper = listener(sessions, parked="default")

    with db.transaction(force_rollback=True):
        enqueue(db)

    assert heard(sleeper, db) == []


def test_many_jobs_of_one_transaction_ring_once(db, sessions):
    """A loop of enqueues costs the sleepers one wake-up."""
    sleeper = listener(sessions, parked="default")

    with db.transaction():
        for _ in range(10):
            enqueue(db)

    assert heard(sleeper, db) == ["default"]


def test_a_job_dated_ahead_rings_with_its_time(db, sessions):
    """The sleeper sets its timer without asking the database."""
    sleeper = listener(sessions, parked="default")

    id = enqueue(db, delay="1 hour")

    queue, at, moment = heard(sleeper, db)[0].partition("@")
    assert (queue, at) == ("default", "@")
    assert float(moment) == pytest.approx(live(db, id).run_at.timestamp(), abs=1e-6)


def test_a_job_dated_back_rings_like_one_for_now(db, sessions):
    """A timer for the past is no timer."""
    sleeper = listener(sessions, parked="default")

    enqueue(db, run_at="2020-01-01 00:00+00")

    assert heard(sleeper, db) == ["default"]


def test_a_release_rings(db, sessions):
    """The job is ready again, and its old worker is going away."""
    job = claimed(db)
    sleeper = listener(sessions, parked="default")

    release(db, A, [job])

    assert heard(sleeper, db) == ["default"]


def test_a_reconcile_rings(db, sessions):
    """A job that its worker never heard of is ready again."""
    claimed(db)
    sleeper = listener(sessions, parked="default")

    reconcile(db, A, [])

    assert heard(sleeper, db) == ["default"]


def test_a_failure_with_a_retry_rings_with_its_time(db, sessions):
    """Whoever sleeps takes the next attempt; the worker that failed may be gone by then."""
    job = claimed(db)
    sleeper = listener(sessions, parked="default")

    fail(db, A, [job], retry_in="1 hour")

    run_at = value(db, "select extract(epoch from run_at) from pgqueue.job")
    assert heard(sleeper, db) == [f"default@{run_at}"]


def test_a_failure_with_a_retry_at_once_rings(db, sessions):
    """Rescue gives jobs back this way."""
    job = claimed(db)
    sleeper = listener(sessions, parked="default")

    fail(db, A, [job], retry_in="0")

    assert heard(sleeper, db) == ["default"]


def test_a_snooze_rings_with_its_time(db, sessions):
    """Whoever sleeps sets its timer by it; the worker that snoozed may be gone by then."""
    job = claimed(db)
    sleeper = listener(sessions, parked="default")

    snooze(db, A, [job], "1 hour")

    run_at = value(db, "select extract(epoch from run_at) from pgqueue.job")
    assert heard(sleeper, db) == [f"default@{run_at}"]


def test_a_hook_rings(db, sessions):
    """The job ended, but its on_failed hook is a new one."""
    (steward,) = sessions(1)
    worker = register(steward, kinds={"noop": "noop:on_failed"})
    job = claimed(db, worker)
    sleeper = listener(sessions, parked="default")

    fail(db, worker, [job])

    assert heard(sleeper, db) == ["default"]


def test_what_ends_rings_nobody(db, sessions):
    """No job became runnable."""
    first, second = claimed(db), claimed(db)
    sleeper = listener(sessions, parked="default")

    fail(db, A, [first])
    finish(db, A, [second])

    assert heard(sleeper, db) == []


def test_a_retry_by_hand_rings(db, sessions):
    """The operator expects it to run now."""
    job = claimed(db)
    fail(db, A, [job])
    sleeper = listener(sessions, parked="default")

    retry(db, job.id)

    assert heard(sleeper, db) == ["default"]


def test_a_rescue_rings(db, sessions):
    """The dead worker's jobs go to those that live, and they may all be asleep."""
    claimed(db, dead_worker(sessions))
    sleeper = listener(sessions, parked="default")

    rescue(db)

    assert heard(sleeper, db) == ["default"]


def test_leaving_rings_for_what_it_gives_back(db, sessions):
    """A worker that ends in order hands its jobs to the others."""
    (steward,) = sessions(1)
    worker = register(steward)
    claimed(db, worker)
    sleeper = listener(sessions, parked="default")

    steward.execute("select pgqueue.leave(%s)", [worker])

    assert heard(sleeper, db) == ["default"]


def test_every_sleeper_is_rung(db, sessions):
    """Whichever is nearest takes the job."""
    sleepers = [listener(sessions, parked="default") for _ in range(3)]

    enqueue(db)

    assert [heard(sleeper, db) for sleeper in sleepers] == [["default"]] * 3


def test_rings_go_on_until_the_last_sleeper_is_awake(db, sessions):
    """One that wakes must not silence the bell of the others."""
    one, other = (listener(sessions, parked="default") for _ in range(2))

    unpark(one)
    enqueue(db)
    assert heard(other, db) == ["default"]

    unpark(other)
    enqueue(db)
    assert heard(other, db) == []
