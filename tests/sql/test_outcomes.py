"""outcomes: what became of jobs, for whoever waits for them."""

import pytest

from tests.sql.verbs import A, cancel, claim, claimed, enqueue, fail, finish, job, retry, rows, values

pytestmark = pytest.mark.integration


def outcomes(conn, *ids):
    return [tuple(found) for found in rows(conn, "select * from pgqueue.outcomes(%s::bigint[])", [list(ids)])]


def test_each_ended_job_has_its_state_result_and_error(db):
    """All that a waiter wants to know, of thousands of jobs in one statement."""
    completed, nothing, failed, waiting = claimed(db), claimed(db), claimed(db), enqueue(db)
    finish(db, A, [completed, nothing], [{"sum": 3}, None])
    fail(db, A, [failed], "ValueError: no")
    cancel(db, waiting, "customer left")

    assert outcomes(db, completed.id, nothing.id, failed.id, waiting) == [
        (completed.id, "completed", {"sum": 3}, None, False),
        (nothing.id, "completed", None, None, False),
        (failed.id, "failed", None, "ValueError: no", False),
        (waiting, "cancelled", None, "customer left", False),
    ]


def test_a_job_that_waits_or_runs_has_none_yet(db):
    """Also one that failed and will be tried again."""
    again = claimed(db)
    fail(db, A, [again], retry_in="1 hour")
    retried = claimed(db)
    fail(db, A, [retried])
    retry(db, retried.id)

    assert outcomes(db, enqueue(db), again.id, retried.id) == []


def test_a_job_that_does_not_exist_is_told(db, sessions):
    """Nor does one whose transaction has not committed: who waited for that would wait for ever."""
    (producer,) = sessions(1)
    with producer.transaction():
        unborn = enqueue(producer)
        assert outcomes(db, 0, unborn, 2**62) == [(id, None, None, None, False) for id in (0, unborn, 2**62)]


def test_no_ids_no_rows(db):
    """Nothing to ask, nothing to answer."""
    assert outcomes(db) == []
    assert values(db, "select * from pgqueue.outcomes(null)") == []


def test_a_result_is_shown_for_its_time_and_then_said_to_be_gone(db):
    """A one-time link, or a megabyte of use for a minute: the job stays on record, what it returned does not."""
    short, long, forever = (claimed(db) for _ in range(3))
    finish(db, A, [short, long, forever], ["a", "b", "c"], ["0", "1 hour", None])

    assert [job(db, taken.id).result for taken in (short, long, forever)] == [None, "b", "c"]
    assert [(found[2], found[4]) for found in outcomes(db, short.id, long.id, forever.id)] == [
        (None, True),
        ("b", False),
        ("c", False),
    ]


def test_the_archive_is_written_once_all_the_same(db):
    """It is insert-only: what hides a result is its row, and retention removes both."""
    taken = claimed(db)
    finish(db, A, [taken], ["a"], ["0"])

    assert values(db, "select result from pgqueue.job_archive where id = %s", [taken.id]) == ["a"]
    assert job(db, taken.id).state == "completed"


def test_the_newest_outcome_counts(db):
    """A dead letter that was brought back and completed is no failure."""
    taken = claimed(db)
    fail(db, A, [taken])
    retry(db, taken.id)
    finish(db, A, claim(db), ["done"])

    assert outcomes(db, taken.id) == [(taken.id, "completed", "done", None, False)]
