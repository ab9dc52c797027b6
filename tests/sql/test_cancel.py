"""cancel: a waiting job will not run."""

import psycopg
import pytest

from tests.sql.bells import heard, listener
from tests.sql.verbs import (
    A,
    B,
    cancel,
    claim,
    claimed,
    dead_worker,
    enqueue,
    fail,
    finish,
    job,
    live,
    release,
    rescue,
    row,
    state,
    value,
)

pytestmark = pytest.mark.integration


@pytest.mark.parametrize("delay", ["0", "1 hour"])
def test_a_waiting_job_ends_as_cancelled(db, delay):
    """Ready or scheduled: nobody has begun."""
    id = enqueue(db, "charge", args={"n": 1}, delay=delay, timeout="5 s")

    assert cancel(db, id, "ordered twice") == "cancelled"

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


def test_a_running_job_is_asked_to_stop(db, sessions):
    """It may be half done: its worker stops it and reports. Only that worker is meant, under that claim."""
    taken = claimed(db)
    worker = listener(sessions)

    assert cancel(db, taken.id, "ordered: twice") == "asked"

    assert heard(worker, db) == [f"cancel:{A}:{taken.id}:{taken.claims}:ordered: twice"]
    assert state(db, taken.id) == "running"
    assert live(db, taken.id).cancel_reason == "ordered: twice"


def test_a_running_job_that_is_cancelled_twice_keeps_the_first_reason(db, sessions):
    """The worker is told again, should it not have heard the first time."""
    taken = claimed(db)
    worker = listener(sessions)

    assert [cancel(db, taken.id, reason) for reason in (None, "first", "second")] == ["asked"] * 3

    assert live(db, taken.id).cancel_reason == "first"
    assert len(heard(worker, db)) == 3


def test_a_long_reason_reaches_the_worker_cut_short(db, sessions):
    """A notification holds less than 8,000 bytes; the job keeps all of it."""
    taken = claimed(db)
    worker = listener(sessions)

    cancel(db, taken.id, "€" * 10_000)

    (told,) = heard(worker, db)
    assert told.endswith(":" + "€" * 500)
    assert len(live(db, taken.id).cancel_reason) == 10_000


@pytest.mark.parametrize("reason", [None, "ordered twice"])
def test_a_job_that_was_asked_to_stop_is_not_tried_again(db, reason):
    """Whatever its attempt ended with, and whatever attempts are left."""
    taken = claimed(db)
    cancel(db, taken.id, reason)

    assert fail(db, A, [taken], "AttemptCancelled: while it ran", retry_in="0") == []

    ended = job(db, taken.id)
    assert (ended.state, ended.attempt, ended.error) == ("cancelled", 1, reason or "AttemptCancelled: while it ran")
    assert claim(db) == []


def test_a_job_that_completes_before_its_worker_hears_has_completed(db):
    """Its work is done."""
    taken = claimed(db)
    cancel(db, taken.id)

    assert finish(db, A, [taken]) == []

    assert state(db, taken.id) == "completed"


def test_a_job_that_was_asked_to_stop_and_is_given_back_ends_as_cancelled(db):
    """Its worker was told to end, or had prefetched it."""
    taken = claimed(db)
    cancel(db, taken.id, "ordered twice")

    release(db, A, [taken])

    assert (state(db, taken.id), job(db, taken.id).error) == ("cancelled", "ordered twice")
    assert claim(db) == []


def test_a_job_that_was_asked_to_stop_ends_as_cancelled_when_its_worker_dies(db, sessions):
    """Nobody is left to hear of it."""
    dead = dead_worker(sessions)
    taken = claimed(db, dead)
    cancel(db, taken.id, "ordered twice")

    rescue(db)

    assert (state(db, taken.id), job(db, taken.id).error) == ("cancelled", "ordered twice")


def test_a_cancel_that_is_rolled_back_never_was(db, sessions):
    """Nobody is told, and the next failure is tried again."""
    worker = listener(sessions)
    taken = claimed(db)

    with db.transaction(force_rollback=True):
        cancel(db, taken.id, "by mistake")

    assert heard(worker, db) == []
    fail(db, A, [taken], retry_in="0")
    assert state(db, taken.id) == "ready"


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
