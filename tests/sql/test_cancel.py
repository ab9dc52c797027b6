"""cancel: a waiting job will not run."""

import psycopg
import pytest

from tests.sql.verbs import A, B, cancel, claim, claimed, enqueue, fail, finish, job, live, row, state, value

pytestmark = pytest.mark.integration


@pytest.mark.parametrize("delay", ["0", "1 hour"])
def test_a_waiting_job_ends_as_cancelled(db, delay):
    """Ready or scheduled: nobody has begun."""
    id = enqueue(db, "charge", args={"n": 1}, delay=delay, timeout="5 s")

    cancel(db, id, "ordered twice")

    ended = job(db, id)
    assert live(db, id) is None
    assert (ended.state, ended.error, ended.kind, ended.args) == ("cancelled", "ordered twice", "charge", {"n": 1})
    assert (ended.started_at, ended.worker, ended.attempt) == (None, None, 0)
    assert ended.finished_at >= ended.created_at
    assert claim(db) == []


def test_a_reason_may_be_left_out(db):
    """In a hurry."""
    id = enqueue(db)

    db.execute("select pgqueue.cancel(id => %s)", [id])

    assert (state(db, id), job(db, id).error) == ("cancelled", None)


def test_a_job_between_two_attempts_can_be_cancelled(db):
    """What it did so far stays on record."""
    taken = claimed(db)
    fail(db, A, [taken], retry_in="1 hour")

    cancel(db, taken.id)

    assert (state(db, taken.id), job(db, taken.id).attempt) == ("cancelled", 1)
    assert value(db, "select count(*) from pgqueue.attempt") == 1


def test_a_running_job_is_refused(db):
    """It may be half done: only its handler can stop it."""
    taken = claimed(db)

    with pytest.raises(
        psycopg.Error, match=f"job {taken.id} is running: only waiting jobs can be cancelled"
    ) as refused:
        cancel(db, taken.id)

    assert refused.value.sqlstate == "PQ004"
    assert state(db, taken.id) == "running"
    assert finish(db, A, [taken]) == []


@pytest.mark.parametrize("end", ["completed", "failed", "cancelled"])
def test_a_finished_job_is_refused(db, end):
    """Its outcome is on record."""
    id = enqueue(db)
    if end == "cancelled":
        cancel(db, id, "the first reason")
    else:
        (finish if end == "completed" else fail)(db, A, claim(db, A))
    before = row(db, "select * from pgqueue.job_archive")

    with pytest.raises(psycopg.Error, match=f"job {id} is {end}: ") as refused:
        cancel(db, id, "another reason")

    assert refused.value.sqlstate == "PQ004"
    assert row(db, "select * from pgqueue.job_archive") == before


@pytest.mark.parametrize("id", [4711, None])
def test_a_job_that_does_not_exist_is_not_found(db, id):
    """With a hint why it may have been there once."""
    with pytest.raises(psycopg.Error, match=f"job {'null' if id is None else id} does not exist") as refused:
        cancel(db, id)

    assert refused.value.sqlstate == "PQ003"
    assert "retention" in refused.value.diag.message_hint


def test_only_the_one_job_goes(db):
    """However much like it the others are."""
    id, other = enqueue(db), enqueue(db)

    cancel(db, id)

    assert [taken.id for taken in claim(db, B, 9)] == [other]
