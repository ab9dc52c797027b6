"""duties: whether there is something to rescue or to tidy, so that an idle fleet need not try."""

import pytest

from tests.sql.bells import forget, listener, unpark
from tests.sql.keys import pass_expiry, running, unique
from tests.sql.verbs import A, dead_worker, enqueue, finish, register, rescue, row, silent_for

pytestmark = pytest.mark.integration


def duties(db):
    return tuple(row(db, "select rescue, tidy from pgqueue.duties()"))


def to_forget(db):
    return row(db, "select forget from pgqueue.duties()").forget


def test_with_nothing_to_do_it_says_so(db):
    """An idle fleet asks every second: a yes would cost it two more transactions each time."""
    register(db)
    enqueue(db)
    enqueue(db, expires_in="1 hour")
    unique(db)

    assert duties(db) == (False, False)


def test_a_silent_worker_wants_a_rescue_until_it_was_swept_a_last_time(db, sessions):
    """Its last claim may commit late, so that a rescue looks twice; after that nobody need look again."""
    worker = dead_worker(sessions)
    assert duties(db) == (True, False)

    rescue(db)
    assert duties(db) == (False, False)

    db.execute("update pgqueue.worker set died_at = died_at - interval '31 seconds' where id = %s", [worker])
    assert duties(db) == (True, False)

    rescue(db)
    assert duties(db) == (False, False)


def test_a_worker_that_left_is_looked_at_once_more(db):
    """A claim of its that was under way may have committed just after."""
    worker = register(db)
    db.execute("select pgqueue.leave(%s)", [worker])
    silent_for(db, worker, "1 hour")
    assert duties(db) == (False, False)

    db.execute("update pgqueue.worker set stopped_at = stopped_at - interval '31 seconds' where id = %s", [worker])
    assert duties(db) == (True, False)


def test_a_job_that_expired_wants_to_be_tidied_away(db):
    """No claim takes it; only the leader ends it."""
    enqueue(db, expires_in="1 hour")
    pass_expiry(db)

    assert duties(db) == (False, True)


def test_a_job_that_waits_for_another_of_its_key_is_looked_after(db):
    """The one before it may be done at any moment."""
    unique(db)
    taken = running(db)
    unique(db, on_conflict="latest")
    assert duties(db) == (False, True)

    finish(db, A, [taken])
    db.execute("select pgqueue.follow()")
    assert duties(db) == (False, False)


def test_a_sleeper_is_to_be_forgotten_when_it_is_awake(db, sessions):
    """Not while it sleeps: an idle fleet would clear up every second for nothing."""
    assert to_forget(db)  # nothing is known yet
    forget(db)
    assert not to_forget(db)

    sleeper = listener(sessions, parked="default")
    assert not to_forget(db)

    unpark(sleeper)
    assert to_forget(db)

    forget(db)
    assert not to_forget(db)
