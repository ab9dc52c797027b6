"""snooze: later, and the attempt is not counted."""

from datetime import timedelta

import pytest

from tests.sql.verbs import (
    A,
    B,
    cancel,
    claim,
    claimed,
    enqueue_many,
    everything,
    fail,
    ids,
    job,
    live,
    release,
    retry,
    row,
    rows,
    snooze,
    value,
    values,
)

pytestmark = pytest.mark.integration


def test_a_snoozed_job_waits_and_its_attempt_is_not_counted(db):
    """Waiting for somebody else is no failure: it must not use up attempts."""
    taken = claimed(db, max_attempts=1)

    assert snooze(db, A, [taken], "90 s") == []

    waiting = live(db, taken.id)
    assert job(db, taken.id).state == "scheduled"
    assert waiting.run_at - value(db, "select since from pgqueue.postponed") == timedelta(seconds=90)
    assert (waiting.worker, waiting.claimed_at, waiting.attempt, waiting.claims) == (None, None, 0, 1)
    assert value(db, "select count(*) from pgqueue.attempt") == 0


def test_why_it_waits_is_shown_as_its_error(db):
    """Whoever wonders why it does not run looks there."""
    taken = claimed(db)

    snooze(db, A, [taken], reason="Retry-After: 60 s")

    assert job(db, taken.id).error == "Retry-After: 60 s"


def test_the_newest_of_reason_and_error_is_shown(db):
    """What happened last is what explains its state."""
    taken = claimed(db)
    fail(db, A, [taken], "ValueError: first", retry_in="0")

    snooze(db, A, claim(db), "0", reason="second")
    assert job(db, taken.id).error == "second"
    fail(db, A, claim(db), "ValueError: third", retry_in="0")
    assert job(db, taken.id).error == "ValueError: third"
    snooze(db, A, claim(db), reason=None)
    assert job(db, taken.id).error == "Snooze"


def test_a_job_may_be_snoozed_again_and_again(db):
    """One row tells the last reason: a poll once a minute must not fill a table."""
    taken = claimed(db)

    snooze(db, A, [taken], "0", "first")
    snooze(db, B, claim(db, B), "0", "second")

    assert rows(db, "select job, claims, kind, reason from pgqueue.postponed") == [(taken.id, 2, None, "second")]
    assert live(db, taken.id).attempt == 0


@pytest.mark.parametrize("delay", ["0", "-1 hour", None])
def test_no_delay_is_at_once(db, delay):
    """A moment in the past would put it before everything that waits."""
    taken = claimed(db)

    snooze(db, A, [taken], delay)

    assert live(db, taken.id).run_at >= value(db, "select since from pgqueue.postponed")
    assert ids(claim(db)) == [taken.id]


def test_a_job_that_was_asked_to_stop_ends_instead(db):
    """It will not start again: that is what was asked for."""
    asked, other = enqueue_many(db, [{"kind": "noop"}] * 2)
    taken = claim(db, A, 2)
    db.execute("update pgqueue.job set cancel_reason = 'customer left' where id = %s", [asked])

    assert snooze(db, A, taken) == []

    assert (job(db, asked).state, job(db, asked).error) == ("cancelled", "customer left")
    assert job(db, other).state == "scheduled"
    assert value(db, "select count(*) from pgqueue.postponed where job = %s", [asked]) == 0


def test_only_what_is_still_held_is_snoozed(db):
    """The rest had moved on, and stays where it is."""
    enqueue_many(db, [{"kind": "noop"}] * 3)
    taken = claim(db, A, 3)
    release(db, A, taken[:1])
    claim(db, B)

    assert snooze(db, A, taken) == [taken[0].id]
    assert live(db, taken[0].id).worker == B


def test_a_snoozed_job_can_be_cancelled_and_brought_back(db):
    """It waits like any other."""
    taken = claimed(db)
    snooze(db, A, [taken])

    cancel(db, taken.id, "no need")
    assert job(db, taken.id).error == "no need"
    retry(db, taken.id)

    assert ids(claim(db)) == [taken.id]


def test_the_reason_goes_when_the_job_has_gone(db):
    """Retention leaves nothing behind; what still waits keeps its reason."""
    enqueue_many(db, [{"kind": "noop"}] * 2)
    gone, waits = claim(db, A, 2)
    snooze(db, A, [gone, waits])
    cancel(db, gone.id)

    db.execute("select pgqueue.maintain()")

    assert row(db, "select job from pgqueue.postponed") == (waits.id,)


def test_nothing_to_snooze_is_no_error(db):
    """Nor does it write."""
    assert snooze(db, A, []) == []
    assert everything(db) == []


def test_an_attempt_that_is_told_twice_in_one_call_waits_once(db):
    """A batch must not fail as a whole, and all its other jobs with it, for one that is in it twice."""
    enqueue_many(db, [{"kind": "noop", "max_attempts": 2}] * 2)
    first, second = claim(db, A, 2)

    assert snooze(db, A, [first, second, first]) == []

    assert values(db, "select attempt from pgqueue.jobs where state = 'scheduled'") == [0, 0]
