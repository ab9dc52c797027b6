"""reconcile: what the worker does not know of goes back."""

import pytest

from tests.sql.verbs import A, B, claim, enqueue_many, ids, job, live, reconcile, release

pytestmark = pytest.mark.integration


def test_jobs_that_the_worker_never_heard_of_go_back_uncounted(db):
    """The answer to a claim was lost with its connection."""
    enqueue_many(db, [{"kind": "noop"}] * 3)
    known = claim(db, A, 1)
    unheard = claim(db, A, 2)

    assert sorted(reconcile(db, A, known)) == ids(unheard)
    assert [job(db, id).state for id in ids(known + unheard)] == ["running", "ready", "ready"]
    assert [live(db, id).attempt for id in ids(unheard)] == [0, 0]


def test_what_the_worker_holds_stays(db):
    """It is running."""
    enqueue_many(db, [{"kind": "noop"}] * 2)
    known = claim(db, A, 2)

    assert reconcile(db, A, known) == []
    assert [live(db, id).worker for id in ids(known)] == [A, A]


def test_the_jobs_of_others_stay(db):
    """A worker speaks for itself only."""
    enqueue_many(db, [{"kind": "noop"}] * 2)
    (mine,), (other,) = claim(db, A), claim(db, B)

    assert reconcile(db, A, []) == [mine.id]
    assert live(db, other.id).worker == B


def test_a_job_known_under_an_older_claim_goes_back(db):
    """The worker knows an attempt that is over; of the new one it never heard."""
    enqueue_many(db, [{"kind": "noop"}])
    (old,) = claim(db, A)
    release(db, A, [old])
    claim(db, A)

    assert reconcile(db, A, [old]) == [old.id]


def test_naming_jobs_that_moved_on_is_harmless(db):
    """They were rescued meanwhile, or finished by the exchange whose answer was lost."""
    enqueue_many(db, [{"kind": "noop"}])
    held = claim(db, A)
    release(db, A, held)
    claim(db, B)

    assert reconcile(db, A, held) == []
    assert live(db, held[0].id).worker == B
