"""finish: an attempt completed, on record once."""

import pytest

from tests.sql.verbs import A, claim, claimed, enqueue, enqueue_many, finish, ids, job, live, row

pytestmark = pytest.mark.integration


def test_a_finished_job_is_completed_and_gone_from_the_live_table(db):
    """The live table stays as small as the backlog."""
    id = enqueue(db, "charge", args={"n": 1}, priority=2, queue="billing", timeout="5 s")
    (taken,) = claim(db, A, queue="billing")

    assert finish(db, A, [taken]) == []

    done = job(db, id)
    assert live(db, id) is None
    assert (done.state, done.kind, done.queue, done.args, done.priority) == (
        "completed",
        "charge",
        "billing",
        {"n": 1},
        2,
    )
    assert (done.attempt, done.max_attempts, done.error, done.result) == (1, 20, None, None)
    assert (done.run_at, done.created_at, done.timeout) == (taken.run_at, taken.created_at, taken.timeout)
    assert done.created_at <= done.started_at <= done.finished_at


def test_the_archive_says_who_ran_it_and_under_which_claim(db):
    """So that two outcomes of one job could be told apart, if there ever were two."""
    taken = claimed(db, A)
    finish(db, A, [taken])

    archived = row(db, "select worker, claims, state from pgqueue.job_archive where id = %s", [taken.id])
    assert archived == (A, 1, "completed")


def test_each_result_is_stored_with_its_job(db):
    """Null for a handler that returned nothing."""
    enqueue_many(db, [{"kind": "noop"}] * 4)
    taken = claim(db, A, 4)

    finish(db, A, taken, [{"sum": 3}, None, [1], "x"])

    assert [job(db, id).result for id in ids(taken)] == [{"sum": 3}, None, [1], "x"]


def test_no_results_at_all_may_be_left_out(db):
    """Most handlers return nothing: an array of nulls would be sent for nothing."""
    enqueue_many(db, [{"kind": "noop"}] * 2)
    taken = claim(db, A, 2)

    assert finish(db, A, taken, None) == []
    assert [job(db, id).result for id in ids(taken)] == [None, None]


def test_those_that_were_lost_are_named_and_the_rest_is_recorded(db):
    """One stale outcome must not cost the batch."""
    enqueue_many(db, [{"kind": "noop"}] * 3)
    taken = claim(db, A, 3)
    finish(db, A, taken[1:2])

    assert finish(db, A, taken) == [taken[1].id]
    assert [job(db, id).state for id in ids(taken)] == ["completed"] * 3


def test_nothing_to_finish_is_no_error(db):
    """An exchange that only claims passes empty arrays."""
    assert finish(db, A, []) == []


def test_it_goes_with_the_transaction_of_a_handler(db):
    """A handler that writes in the same transaction has exactly-once effects."""
    taken = claimed(db)
    with db.transaction(force_rollback=True):
        finish(db, A, [taken])

    assert job(db, taken.id).state == "running"
