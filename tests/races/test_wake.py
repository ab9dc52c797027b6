"""A producer and a worker that goes to sleep: whatever the order, the job is found or the bell rings."""

import psycopg
import pytest

from tests.races.steps import start
from tests.sql.bells import forget, heard, listener, park, settled, unpark
from tests.sql.verbs import (
    A,
    cancel,
    claim,
    claimed,
    dead_worker,
    enqueue,
    enqueue_many,
    fail,
    ids,
    release,
    rescue,
    value,
    values,
)

pytestmark = pytest.mark.integration


@pytest.fixture(autouse=True, params=["unknown", "clear"])
def _bits(request, db):
    """As it is at first, and as the leader leaves it while nobody sleeps."""
    if request.param == "clear":
        forget(db)


def test_enqueued_and_committed_before_the_park_is_found_by_the_claim_after_it(db, sessions):
    """No ring was due; the worker looks once more before it sleeps."""
    sleeper, lane = sessions(2)
    id = enqueue(db)

    assert park(sleeper) is True
    assert ids(claim(lane)) == [id]
    assert heard(sleeper, db) == []


def test_enqueued_before_the_park_and_committed_after_it_keeps_the_worker_awake(db, sessions):
    """The producer saw nobody and will not ring, and the claim cannot see its job yet: this is the lost wake-up."""
    producer, sleeper, lane = sessions(3)

    with producer.transaction():
        id = enqueue(producer)
        assert park(sleeper) is False
        assert claim(lane) == []
        assert settled(sleeper) is False

    assert settled(sleeper) is True
    assert ids(claim(lane)) == [id]
    assert heard(sleeper, db) == []


def test_enqueued_after_the_park_rings_at_commit(db, sessions):
    """Also when the producer's transaction is older than the park, and blind to it by its snapshot."""
    producer, sleeper = sessions(2)
    producer.isolation_level = psycopg.IsolationLevel.SERIALIZABLE

    with producer.transaction():
        producer.execute("select count(*) from pgqueue.job")
        assert park(sleeper) is True
        enqueue(producer)

    assert heard(sleeper, db) == ["default"]


def test_a_second_job_of_a_transaction_that_saw_nobody_rings(db, sessions):
    """The worker parked between the two: each enqueue looks for itself."""
    producer, sleeper = sessions(2)

    with producer.transaction():
        enqueue(producer)
        assert park(sleeper) is False
        enqueue(producer)

    assert heard(sleeper, db) == ["default"]


def test_a_rolled_back_producer_keeps_nobody_awake(db, sessions):
    """Its job never existed."""
    producer, sleeper = sessions(2)

    with producer.transaction(force_rollback=True):
        enqueue(producer)
        assert park(sleeper) is False

    assert settled(sleeper) is True


def test_a_savepoint_that_is_rolled_back_does_not_hide_the_jobs_before_it(db, sessions):
    """The locks that the savepoint took go with it; those of the job that stays must not."""
    producer, sleeper, lane = sessions(3)

    with producer.transaction():
        id = enqueue(producer)
        with producer.transaction(force_rollback=True):
            enqueue(producer)
        assert park(sleeper) is False

    assert settled(sleeper) is True
    assert ids(claim(lane)) == [id]


def test_a_savepoint_that_is_rolled_back_does_not_take_back_the_ring_of_the_jobs_before_it(db, sessions):
    """Nor of those after it."""
    producer, sleeper = sessions(2)
    assert park(sleeper) is True

    with producer.transaction():
        with producer.transaction(force_rollback=True):
            enqueue(producer)
        enqueue(producer)

    assert heard(sleeper, db) == ["default"]


@pytest.mark.parametrize("verb", ["enqueue_many", "release", "fail"])
def test_every_verb_that_makes_a_job_runnable_keeps_who_missed_it_awake(db, sessions, verb):
    """Each of them may be the one whose commit the sleeper would miss."""
    job = claimed(db)
    producer, sleeper, lane = sessions(3)

    with producer.transaction():
        if verb == "enqueue_many":
            enqueue_many(producer, [{"kind": "noop"}])
        elif verb == "release":
            release(producer, A, [job])
        else:
            fail(producer, A, [job], retry_in="0")
        assert park(sleeper) is False
        assert claim(lane) == []

    assert settled(sleeper) is True
    assert len(claim(lane)) == 1


def test_producers_never_wait_for_each_other_or_for_sleepers(db, sessions):
    """With lock_timeout at its least, any wait would be an error."""
    first, second, sleeper = sessions(3)
    second.execute("set lock_timeout = 1")

    with first.transaction():
        enqueue(first)
        park(sleeper)
        enqueue(second)
        enqueue_many(second, [{"kind": "noop"}])


def test_a_sleeper_that_dies_needs_no_ring(db, sessions):
    """Its locks go with its session: nothing has to be cleaned up."""
    sleeper = listener(sessions, parked="default")
    awake = listener(sessions)

    db.execute("select pg_terminate_backend(%s, 30000)", [sleeper.info.backend_pid])
    enqueue(db)

    assert heard(awake, db) == []


def test_the_rescue_of_a_worker_rings_for_a_claim_that_died_with_it(db, sessions):
    """The other worker looked while the job was being claimed, skipped it, and went to sleep for good reason."""
    dead, (lane, other, sleeper) = dead_worker(sessions), sessions(3)
    id = enqueue(db)

    with lane.transaction(force_rollback=True):
        assert park(sleeper) is True
        claim(lane, dead)
        assert claim(other) == []

    assert rescue(db) == {dead: 0}
    assert heard(sleeper, db) == ["default"]
    assert ids(claim(other)) == [id]


def test_a_cancel_that_is_rolled_back_keeps_the_worker_awake(db, sessions):
    """Until then the worker skips the job, and nobody rings for one that only stayed."""
    operator, lane, sleeper = sessions(3)
    id = enqueue(db)

    with operator.transaction(force_rollback=True):
        cancel(operator, id)
        assert claim(lane) == []
        assert park(sleeper) is False

    assert settled(sleeper) is True
    assert ids(claim(lane)) == [id]


def test_parked_twice_is_let_go_twice(db, sessions):
    """Two queues whose slots share a name are still one session: each park has its own unpark."""
    sleeper = listener(sessions, parked="default")
    park(sleeper)

    unpark(sleeper)
    enqueue(db)
    assert heard(sleeper, db) == ["default"]

    unpark(sleeper)
    enqueue(db)
    assert heard(sleeper, db) == []


def test_a_producer_that_is_cancelled_keeps_no_lock_of_the_sleepers(db, sessions):
    """Its session may live for hours in a pool, and every worker of the queue would wait for it before it sleeps."""
    (producer,) = sessions(1)
    for_ever = "select count(pgqueue.wake('default')) from (select generate_series(1, 100000000)) g"
    for _ in range(50):
        waking = start(producer, lambda: producer.execute(for_ever))
        waking.runs()
        db.execute("select pg_cancel_backend(%s)", [producer.info.backend_pid])
        with pytest.raises(psycopg.errors.QueryCanceled):
            waking.result()

    assert values(db, "select classid from pg_locks where pid = %s and locktype = 'advisory'", [waking.pid]) == []
    assert value(producer, "select 1") == 1
