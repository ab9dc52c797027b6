"""release: back unstarted."""

import pytest

from tests.sql.verbs import A, B, claim, claimed, enqueue, enqueue_many, ids, job, live, release, value

pytestmark = pytest.mark.integration


def test_a_released_job_is_ready_and_its_attempt_not_counted(db):
    """It never started: a shutdown must not use up attempts."""
    taken = claimed(db)

    assert release(db, A, [taken]) == [taken.id]

    waiting = live(db, taken.id)
    assert job(db, taken.id).state == "ready"
    assert (waiting.worker, waiting.claimed_at, waiting.attempt, waiting.claims) == (None, None, 0, 1)
    assert value(db, "select count(*) from pgqueue.attempt") == 0


def test_a_released_job_is_next_in_line(db):
    """Its place was earned by waiting; run_at stays."""
    taken = claimed(db)
    other = enqueue(db)

    release(db, A, [taken])

    assert live(db, taken.id).run_at == taken.run_at
    assert ids(claim(db, B, 2)) == [taken.id, other]


def test_only_those_still_held_are_returned(db):
    """The rest had moved on, and stays where it is."""
    enqueue_many(db, [{"kind": "noop"}] * 3)
    taken = claim(db, A, 3)
    release(db, A, taken[:1])
    claim(db, B)

    assert sorted(release(db, A, taken)) == ids(taken[1:])
    assert live(db, taken[0].id).worker == B


def test_releasing_twice_gives_back_one_attempt(db):
    """A worker that is not sure may say it again."""
    taken = claimed(db)

    release(db, A, [taken])
    assert release(db, A, [taken]) == []

    assert live(db, taken.id).attempt == 0


def test_nothing_to_release_is_no_error(db):
    """Every shutdown of an idle worker."""
    assert release(db, A, []) == []
