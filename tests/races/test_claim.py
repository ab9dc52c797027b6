"""A claim meets another verb at one job."""

import psycopg
import pytest

from tests.races.steps import start
from tests.sql.verbs import A, B, cancel, claim, claimed, enqueue, enqueue_many, fail, ids, live, release, state

pytestmark = pytest.mark.integration


def test_two_open_claims_never_share_a_job(db, sessions):
    """Neither waits for the other: the second skips what the first has locked."""
    first, second = sessions(2)
    second.execute("set lock_timeout = 1")
    created = enqueue_many(db, [{"kind": "noop"}] * 4)

    with first.transaction():
        taken_by_first = claim(first, A, 2)
        taken_by_second = claim(second, B, 9)

    assert ids(taken_by_first) == created[:2]
    assert ids(taken_by_second) == created[2:]


def test_a_claim_that_rolls_back_leaves_the_job_as_it_was(db, sessions):
    """Its worker died before the commit: not even a claim was used up."""
    first, second = sessions(2)
    id = enqueue(db)

    with first.transaction(force_rollback=True):
        claim(first, A)
        assert claim(second, B) == []

    (taken,) = claim(second, B)
    assert (taken.id, taken.claims, taken.attempt) == (id, 1, 1)


def test_a_claim_does_not_see_a_job_that_is_not_committed(db, sessions):
    """And doesn't wait for it."""
    producer, lane = sessions(2)
    lane.execute("set lock_timeout = 1")

    with producer.transaction():
        id = enqueue(producer)
        assert claim(lane) == []

    assert ids(claim(lane)) == [id]


def test_a_job_committed_late_is_found_behind_those_that_came_after_it(db, sessions):
    """Its run_at and id are older than what was claimed meanwhile."""
    producer, lane = sessions(2)

    with producer.transaction():
        late = enqueue(producer)
        enqueue(db)
        (taken,) = claim(lane)
        assert taken.id > late

    assert ids(claim(lane)) == [late]


def test_a_cancel_waits_for_a_claim_under_way_and_asks_its_worker(db, sessions):
    """The handler has begun: cancelled on record and running would be a lie."""
    lane, operator = sessions(2)
    id = enqueue(db)

    with lane.transaction():
        claim(lane)
        cancelling = start(operator, lambda: cancel(operator, id))
        cancelling.waits()

    assert cancelling.result() == "asked"
    assert state(db, id) == "running"


def test_a_cancel_that_waited_for_a_claim_that_rolled_back_succeeds(db, sessions):
    """The job waits after all."""
    lane, operator = sessions(2)
    id = enqueue(db)

    with lane.transaction(force_rollback=True):
        claim(lane)
        cancelling = start(operator, lambda: cancel(operator, id))
        cancelling.waits()

    cancelling.result()
    assert state(db, id) == "cancelled"


def test_a_claim_skips_a_job_that_is_being_cancelled(db, sessions):
    """And takes it if the operator rolls back."""
    operator, lane = sessions(2)
    lane.execute("set lock_timeout = 1")
    cancelled, kept = enqueue(db), enqueue(db)

    with operator.transaction():
        cancel(operator, cancelled)
        assert ids(claim(lane, limit=9)) == [kept]

    assert claim(lane) == []


@pytest.mark.parametrize("verb", ["release", "fail"])
def test_a_claim_skips_a_job_that_is_on_its_way_back(db, sessions, verb):
    """It is found by the next one: whoever gives it back rings."""
    holder, lane = sessions(2)
    lane.execute("set lock_timeout = 1")
    job = claimed(db, A)

    with holder.transaction():
        release(holder, A, [job]) if verb == "release" else fail(holder, A, [job], retry_in="0")
        assert claim(lane, B) == []

    assert ids(claim(lane, B)) == [job.id]


def test_a_job_that_was_claimed_and_given_back_since_the_snapshot_is_left_for_the_next_claim(db, sessions):
    """An old snapshot sees it ready, as it is again: it must not be claimed by halves."""
    lane, other = sessions(2)
    id = enqueue(db)
    lane.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ

    with lane.transaction(force_rollback=True):
        lane.execute("select count(*) from pgqueue.job")
        release(other, B, claim(other, B))
        with pytest.raises(psycopg.errors.SerializationFailure):
            claim(lane, A)

    assert (live(db, id).worker, live(db, id).claims) == (None, 1)
