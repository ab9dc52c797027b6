"""retry: a dead job comes back under its old id."""

import psycopg
import pytest

from tests.sql.verbs import A, B, cancel, claim, claimed, enqueue, fail, finish, job, live, retry, rows, state, value

pytestmark = pytest.mark.integration


def test_a_failed_job_is_ready_with_all_its_attempts(db):
    """The cause was mended; the job starts over."""
    id = enqueue(db, "charge", args={"n": 1}, queue="billing", priority=2, max_attempts=1, timeout="5 s")
    (taken,) = claim(db, A, queue="billing")
    fail(db, A, [taken])

    retry(db, id)

    back = live(db, id)
    assert state(db, id) == "ready"
    assert (back.kind, back.args, back.queue, back.priority) == ("charge", {"n": 1}, "billing", 2)
    assert (back.attempt, back.max_attempts, back.timeout) == (0, 1, taken.timeout)
    assert (back.worker, back.claimed_at, back.created_at) == (None, None, taken.created_at)
    assert value(db, "select count(*) from pgqueue.job_archive") == 0


def test_claims_go_on_and_the_attempts_of_before_stay(db):
    """An old token must never fit again, and the story is not rewritten."""
    taken = claimed(db)
    fail(db, A, [taken], "ValueError: first")
    retry(db, taken.id)

    (again,) = claim(db, B)
    fail(db, B, [again], "ValueError: second")

    assert (again.claims, again.attempt) == (2, 1)
    noted = rows(db, "select claims, attempt, error from pgqueue.attempt order by claims")
    assert noted == [(1, 1, "ValueError: first"), (2, 1, "ValueError: second")]


def test_it_queues_behind_those_that_wait(db):
    """It is ready now, not since it was first enqueued."""
    taken = claimed(db)
    fail(db, A, [taken])
    waiting = enqueue(db)

    retry(db, taken.id)

    assert [each.id for each in claim(db, limit=2)] == [waiting, taken.id]


def test_a_cancelled_job_can_be_retried(db):
    """Somebody thought better of it."""
    id = enqueue(db, delay="1 hour")
    cancel(db, id)

    retry(db, id)

    assert (state(db, id), job(db, id).error) == ("ready", None)


def test_an_expired_job_can_be_retried(db):
    """Too late for its own rule, and wanted all the same."""
    id = enqueue(db)
    cancel(db, id)
    db.execute("update pgqueue.job_archive set state = 'expired'")

    retry(db, id)

    assert state(db, id) == "ready"


@pytest.mark.parametrize("present", ["ready", "scheduled", "running", "completed"])
def test_any_other_job_is_refused(db, present):
    """It waits or runs anyway, or has done its work: twice is for the caller to enqueue."""
    id = enqueue(db, delay="1 hour" if present == "scheduled" else "0")
    if present in ("running", "completed"):
        taken = claim(db, A)
        if present == "completed":
            finish(db, A, taken)

    with pytest.raises(psycopg.Error, match=f"job {id} is {present}: only failed, cancelled and expired") as refused:
        retry(db, id)

    assert refused.value.sqlstate == "PQ004"
    assert state(db, id) == present


def test_a_job_that_does_not_exist_is_not_found(db):
    """Retention took it."""
    with pytest.raises(psycopg.Error, match="job 4711 does not exist") as refused:
        retry(db, 4711)

    assert refused.value.sqlstate == "PQ003"


def test_new_jobs_never_get_the_id_of_one_that_came_back(db):
    """The id is the job's for life: the sequence goes on above it."""
    taken = claimed(db)
    fail(db, A, [taken])
    between = enqueue(db)
    retry(db, taken.id)

    assert enqueue(db) > between > taken.id
