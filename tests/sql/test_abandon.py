"""abandon: a running job ends as cancelled, by its own doing or because it was asked to stop."""

import pytest

from tests.sql.verbs import (
    A,
    B,
    abandon,
    claim,
    claimed,
    dead_worker,
    enqueue_many,
    everything,
    fail,
    ids,
    job,
    live,
    release,
    rescue,
    retry,
    rows,
    state,
    value,
)

pytestmark = pytest.mark.integration


def asked(db, reason="customer left", **options):
    """A running job that somebody wants stopped."""
    taken = claimed(db, **options)
    db.execute("update pgqueue.job set cancel_reason = %s where id = %s", [reason, taken.id])
    return taken


def test_an_abandoned_job_is_cancelled_with_its_reason(db):
    """Not a dead letter: nobody has to look at it. When and where it ran stays on record."""
    taken = claimed(db)
    claimed_at = live(db, taken.id).claimed_at

    assert abandon(db, A, [taken], "order was withdrawn") == []

    ended = job(db, taken.id)
    assert live(db, taken.id) is None
    assert (ended.state, ended.error, ended.attempt) == ("cancelled", "order was withdrawn", 1)
    assert (ended.started_at, ended.finished_at > claimed_at) == (claimed_at, True)
    assert value(db, "select count(*) from pgqueue.attempt") == 0


@pytest.mark.parametrize(("given", "kept"), [(None, "customer left"), ("I know", "I know")])
def test_without_a_reason_it_is_that_of_who_asked(db, given, kept):
    """The handler only noticed; the operator knows why."""
    taken = asked(db)

    abandon(db, A, [taken], given)

    assert job(db, taken.id).error == kept


def test_an_abandoned_job_can_be_brought_back(db):
    """As any that was cancelled."""
    taken = claimed(db)
    abandon(db, A, [taken])

    retry(db, taken.id)

    assert ids(claim(db)) == [taken.id]


def test_a_failure_of_a_job_that_was_asked_to_stop_ends_it_as_cancelled(db):
    """Attempts are left, but nobody wants them. The attempt itself is on record, with its error."""
    taken = asked(db, max_attempts=20)

    assert fail(db, A, [taken], "ValueError: no", retry_in="1 s") == []

    assert (job(db, taken.id).state, job(db, taken.id).error) == ("cancelled", "customer left")
    assert rows(db, "select attempt, error from pgqueue.attempt") == [(1, "ValueError: no")]


def test_nor_does_its_last_failure_make_it_a_dead_letter(db):
    """Nobody has to look at it."""
    taken = asked(db, reason="", max_attempts=1)

    fail(db, A, [taken], "ValueError: no")

    assert (job(db, taken.id).state, job(db, taken.id).error) == ("cancelled", "ValueError: no")


def test_a_job_that_was_asked_to_stop_is_not_released(db):
    """Its worker shuts down: another one would only begin what nobody wants."""
    enqueue_many(db, [{"kind": "noop"}] * 2)
    first, second = claim(db, A, 2)
    db.execute("update pgqueue.job set cancel_reason = 'customer left' where id = %s", [first.id])

    assert sorted(release(db, A, [first, second])) == [first.id, second.id]

    assert [state(db, id) for id in (first.id, second.id)] == ["cancelled", "ready"]
    assert job(db, first.id).error == "customer left"


def test_a_job_that_was_asked_to_stop_is_not_rescued(db, sessions):
    """Its worker died before it heard."""
    worker = dead_worker(sessions)
    taken = claimed(db, worker)
    db.execute("update pgqueue.job set cancel_reason = 'customer left'")

    rescue(db)

    assert (state(db, taken.id), job(db, taken.id).error) == ("cancelled", "customer left")
    assert value(db, "select error from pgqueue.attempt").startswith("WorkerDied")


def test_only_what_is_still_held_is_abandoned(db):
    """The rest had moved on, and stays where it is."""
    enqueue_many(db, [{"kind": "noop"}] * 3)
    taken = claim(db, A, 3)
    release(db, A, taken[:1])
    claim(db, B)

    assert abandon(db, A, taken) == [taken[0].id]
    assert live(db, taken[0].id).worker == B


def test_nothing_to_abandon_is_no_error(db):
    """Nor does it write."""
    assert abandon(db, A, []) == []
    assert everything(db) == []
