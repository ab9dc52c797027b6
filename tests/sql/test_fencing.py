"""A claim that was lost can never write: every report names (id, claims, worker), and nothing else matches.

Each test goes once through every verb; with one part of the fence removed, at least one of them fails for each verb.
"""

from types import SimpleNamespace

import pytest

from tests.sql.verbs import (
    A,
    B,
    abandon,
    cancel,
    claim,
    claimed,
    dead_worker,
    everything,
    exchange,
    fail,
    finish,
    live,
    register,
    release,
    rescue,
    retry,
    set_aside,
    snooze,
)

pytestmark = pytest.mark.integration


OTHERS = {"snooze": snooze, "set aside": set_aside, "abandon": abandon}


def report(db, verb, worker, jobs):
    """Report by one of the verbs; returns the ids it says were lost."""
    if verb == "finish":
        return finish(db, worker, jobs)
    if verb == "exchange":
        return [each.id for each in exchange(db, worker, jobs, queues=[], limits=[])]
    if verb == "fail":
        return fail(db, worker, jobs)
    if verb == "fail with retry":
        return fail(db, worker, jobs, retry_in="0")
    if verb in OTHERS:
        return OTHERS[verb](db, worker, jobs)
    released = release(db, worker, jobs)
    return [job.id for job in jobs if job.id not in released]


@pytest.fixture(params=["finish", "exchange", "fail", "fail with retry", "release", *OTHERS])
def lost(request, db):
    """Asserts that a report was refused: the ids are named, nothing was written."""

    def check(worker, *jobs):
        before = everything(db)
        assert report(db, request.param, worker, jobs) == [job.id for job in jobs]
        assert everything(db) == before

    check.verb = request.param
    return check


def test_the_holder_itself_is_heard(db, lost):
    """Or all the others below would prove nothing."""
    job = claimed(db)

    assert report(db, lost.verb, A, [job]) == []
    assert live(db, job.id) is None or live(db, job.id).worker is None


def test_another_worker_cannot_report(db, lost):
    """Even under the right claim."""
    lost(B, claimed(db, A))


def test_an_older_claim_of_the_same_worker_cannot_report(db, lost):
    """It took the job again; the first attempt may still be running in a thread that nobody could stop."""
    old = claimed(db, A)
    release(db, A, [old])
    (new,) = claim(db, A)

    lost(A, old)
    assert (live(db, old.id).worker, live(db, old.id).claims) == (A, new.claims)


def test_a_claim_that_never_was_cannot_report(db, lost):
    """A token is not to be guessed."""
    job = claimed(db, A)
    lost(A, SimpleNamespace(id=job.id, claims=job.claims + 1))


def test_a_released_job_cannot_be_reported(db, lost):
    """It waits for whoever takes it next."""
    job = claimed(db, A)
    release(db, A, [job])
    lost(A, job)


def test_a_job_that_another_worker_took_meanwhile_cannot_be_reported(db, lost):
    """Whoever holds it now reports in its place."""
    old = claimed(db, A)
    release(db, A, [old])
    claim(db, B)
    lost(A, old)


def test_a_rescued_job_cannot_be_reported(db, sessions, lost):
    """The process was frozen, not dead: it wakes up and reports."""
    worker = dead_worker(sessions)
    job = claimed(db, worker)
    rescue(db)
    lost(worker, job)


def test_a_rescued_job_that_runs_elsewhere_cannot_be_reported(db, sessions, lost):
    """Not even when its new attempt runs in the next life of the same process."""
    worker = dead_worker(sessions)
    old = claimed(db, worker)
    rescue(db)
    (steward,) = sessions(1)
    claim(db, register(steward))
    lost(worker, old)


def test_a_finished_job_cannot_be_reported_again(db, lost):
    """Its outcome is on record exactly once."""
    job = claimed(db, A)
    finish(db, A, [job])
    lost(A, job)


def test_a_failed_job_cannot_be_reported_again(db, lost):
    """Nor its attempt noted twice."""
    job = claimed(db, A)
    fail(db, A, [job])
    lost(A, job)


def test_a_job_that_was_retried_by_hand_cannot_be_reported_by_its_old_attempt(db, lost):
    """Claims go on from where they were; had they started again, the old token would fit."""
    old = claimed(db, A)
    fail(db, A, [old])
    retry(db, old.id)
    lost(A, old)

    (new,) = claim(db, A)
    assert new.claims == old.claims + 1
    lost(A, old)


def test_a_cancelled_job_cannot_be_reported(db, lost):
    """It was given back, and then somebody thought better of it."""
    old = claimed(db, A)
    release(db, A, [old])
    cancel(db, old.id)
    lost(A, old)


def test_ids_that_never_were_are_lost(db, lost):
    """Retention, or another database: reported, not ignored."""
    lost(A, SimpleNamespace(id=4711, claims=1), SimpleNamespace(id=4712, claims=1))
