"""follow: with on_conflict latest one runs and one waits, with the latest arguments."""

import pytest

from tests.sql.bells import heard, listener
from tests.sql.keys import expire, find, follow, pass_expiry, release_key, running, unique
from tests.sql.verbs import A, B, cancel, claim, fail, finish, ids, live, release, retry, state, value, values

pytestmark = pytest.mark.integration


def latest(db, n, **options):
    return unique(db, args={"n": n}, on_conflict="latest", **options)


def test_a_waiting_job_gets_the_latest_arguments(db):
    """What was asked for before is out of date."""
    first = latest(db, 1)

    assert latest(db, 2) == (first.id, False)
    assert running(db).args == {"n": 2}


def test_while_one_runs_one_more_waits_with_the_latest_arguments(db):
    """However many ask for it."""
    first = latest(db, 1)
    running(db)

    second = latest(db, 2)
    third = latest(db, 3)

    assert (second.created, third) == (True, (second.id, False))
    assert second.id != first.id
    assert live(db, second.id).args == {"n": 3}
    assert find(db) == second.id


def test_the_one_that_waits_starts_only_when_the_other_is_done(db, sessions):
    """Never two at a time; and then at once, waking who sleeps."""
    latest(db, 1)
    taken = running(db)
    second = latest(db, 2)
    assert (follow(db), claim(db, B, 9)) == (0, [])
    finish(db, A, [taken])
    sleeper = listener(sessions, parked="default")

    assert follow(db) == 1

    assert heard(sleeper, db) == ["default"]
    assert ids(claim(db, B, 9)) == [second.id]
    assert latest(db, 3).created
    assert follow(db) == 0


def test_it_starts_no_earlier_than_it_was_enqueued_for(db):
    """A delay is kept while it waits for another."""
    latest(db, 1)
    taken = running(db)
    second = latest(db, 2, run_at="2040-01-01 00:00+00")
    finish(db, A, [taken])
    follow(db)

    assert live(db, second.id).run_at.year == 2040


@pytest.mark.parametrize("how", ["failed for now", "given back"])
def test_one_that_has_to_run_again_gives_way_to_the_one_with_the_latest_arguments(db, how):
    """Else two would wait, and the older one would run first."""
    first = latest(db, 1)
    taken = running(db)
    second = latest(db, 2)
    if how == "failed for now":
        fail(db, A, [taken], retry_in="1 hour")
    else:
        release(db, A, [taken])

    assert follow(db) == 1

    assert state(db, first.id) == "cancelled"
    assert f"superseded by job {second.id}" in value(db, "select error from pgqueue.jobs where id = %s", [first.id])
    assert ids(claim(db, B, 9)) == [second.id]


def test_while_it_runs_again_the_other_goes_on_waiting(db):
    """Its next attempt was faster than we."""
    latest(db, 1)
    fail(db, A, [running(db)], retry_in="0")
    running(db)
    latest(db, 2)

    assert follow(db) == 0
    assert values(db, "select state from pgqueue.jobs order by id") == ["running", "scheduled"]


@pytest.mark.parametrize("end", ["cancelled", "expired"])
def test_when_the_waiting_one_ends_unstarted_the_running_one_holds_the_key(db, end):
    """The next to come waits behind it again."""
    first = latest(db, 1)
    taken = running(db)
    second = latest(db, 2, expires_in="1 hour")
    if end == "cancelled":
        cancel(db, second.id)
    else:
        pass_expiry(db)
        assert expire(db) == 1
    assert find(db) == first.id

    third = latest(db, 3)

    assert third.created
    assert (claim(db, B, 9), follow(db)) == ([], 0)
    finish(db, A, [taken])
    follow(db)
    assert ids(claim(db, B, 9)) == [third.id]


@pytest.mark.parametrize("end", ["cancelled", "expired", "about to expire"])
def test_one_that_has_to_run_again_goes_on_when_the_one_behind_it_has_ended(db, end):
    """There is nothing later that it could give way to: both would be lost."""
    first = latest(db, 1)
    taken = running(db)
    second = latest(db, 2, expires_in="1 hour")
    if end == "cancelled":
        cancel(db, second.id)
    else:
        pass_expiry(db)
        assert end == "about to expire" or expire(db) == 1
    fail(db, A, [taken], retry_in="0")

    assert follow(db) == 0

    assert find(db) == first.id
    assert latest(db, 3) == (first.id, False)
    assert running(db).args == {"n": 3}


@pytest.mark.parametrize("which", ["first", "second"])
def test_a_job_that_somebody_is_cancelling_is_left_for_the_next_time(db, sessions, which):
    """Waiting for him, who may want the key next, could be for ever; and until he has done it nothing is certain."""
    jobs = {"first": latest(db, 1)}
    taken = running(db)
    jobs["second"] = latest(db, 2)
    fail(db, A, [taken], retry_in="0")
    (operator,) = sessions(1)
    operator.autocommit = False
    cancel(operator, jobs[which].id)
    db.execute("set lock_timeout = '5s'")

    assert follow(db) == 0
    operator.commit()

    follow(db)
    other = "second" if which == "first" else "first"
    assert running(db).id == jobs[other].id
    assert state(db, jobs[which].id) == "cancelled"


def test_debounce_moves_the_time_of_one_that_waits_for_another(db):
    """And does not let it start too early."""
    latest(db, 1)
    taken = running(db)
    second = latest(db, 2)
    unique(db, run_at="2040-01-01 00:00+00", on_conflict="debounce")
    assert claim(db, B, 9) == []
    finish(db, A, [taken])
    follow(db)

    assert live(db, second.id).run_at.year == 2040


def test_releasing_the_key_lets_the_waiting_one_start(db):
    """Nobody would remember what it waits for."""
    latest(db, 1)
    running(db)
    second = latest(db, 2)

    assert release_key(db) == second.id

    assert ids(claim(db, B, 9)) == [second.id]


def brought_back(db):
    """A dead letter of the key that is retried while a later job of it runs; both, in this order."""
    first = latest(db, 1)
    fail(db, A, [running(db)])
    latest(db, 2)
    taken = running(db)
    retry(db, first.id)
    return first, taken


@pytest.mark.parametrize("pause", [None, "0"])
def test_one_that_is_brought_back_waits_until_the_later_one_has_ended(db, sessions, pause):
    """Never two at a time; and it has older arguments, so it supersedes nobody."""
    first, taken = brought_back(db)
    assert (follow(db), claim(db, B, 9)) == (0, [])
    if pause is not None:
        fail(db, A, [taken], retry_in=pause)
        assert follow(db) == 0
        taken = running(db)
    finish(db, A, [taken])
    sleeper = listener(sessions, parked="default")

    assert follow(db) == 1

    assert heard(sleeper, db) == ["default"]
    assert ids(claim(db, B, 9)) == [first.id]
    assert state(db, taken.id) == "completed"


def test_one_that_is_brought_back_and_waits_gets_the_latest_arguments(db):
    """It is the one that waits, as any other."""
    first, taken = brought_back(db)

    assert find(db) == first.id
    assert latest(db, 3) == (first.id, False)

    finish(db, A, [taken])
    follow(db)
    assert running(db).args == {"n": 3}


def test_when_one_that_was_brought_back_is_cancelled_the_running_one_holds_the_key(db):
    """As ever."""
    first, taken = brought_back(db)
    cancel(db, first.id)

    assert find(db) == taken.id
    third = latest(db, 3)
    assert third.created
    finish(db, A, [taken])
    follow(db)
    assert ids(claim(db, B, 9)) == [third.id]


def test_one_that_is_brought_back_while_another_waits_starts_without_the_key(db):
    """The key stays with the one that has the latest arguments, and a retry never fails because of a key."""
    first = latest(db, 1)
    fail(db, A, [running(db)])
    latest(db, 2)
    running(db)
    third = latest(db, 3)

    retry(db, first.id)

    assert find(db) == third.id
    assert ids(claim(db, B, 9)) == [first.id]
