"""expire: a job whose time is up ends as expired, and is never run late."""

import pytest

from tests.sql.keys import expire, pass_expiry
from tests.sql.verbs import A, claim, claimed, enqueue, enqueue_many, fail, finish, job, live, retry, row, state, value

pytestmark = pytest.mark.integration


def test_a_waiting_job_ends_as_expired(db):
    """Ready or scheduled; others stay."""
    ready = enqueue(db, expires_at="2040-01-01 00:00+00", args={"n": 1})
    scheduled = enqueue(db, expires_in="1 day", delay="1 hour")
    other = enqueue(db)
    assert expire(db) == 0
    pass_expiry(db)

    assert expire(db) == 2

    assert [state(db, id) for id in (ready, scheduled, other)] == ["expired", "expired", "ready"]
    ended = job(db, ready)
    assert (ended.args, ended.attempt, ended.started_at, ended.error) == ({"n": 1}, 0, None, None)
    assert ended.finished_at is not None


def test_it_does_not_start_late_even_if_nobody_put_it_away(db):
    """The worker that leads may be slow, or there is none."""
    enqueue(db, expires_in="1 hour")
    pass_expiry(db)

    assert claim(db, A) == []
    assert value(db, "select pgqueue.next_run_at('default')") is None


def test_a_running_job_is_never_expired(db):
    """It has started in time."""
    taken = claimed(db, expires_in="1 hour")
    pass_expiry(db)

    assert expire(db) == 0
    assert finish(db, A, [taken]) == []


def test_a_job_that_waits_for_its_next_attempt_expires_with_its_last_error(db):
    """Late is late, however often it was tried."""
    taken = claimed(db, expires_in="1 hour")
    fail(db, A, [taken], "ValueError: no", retry_in="1 second")
    pass_expiry(db)

    assert expire(db) == 1
    ended = job(db, taken.id)
    assert (ended.state, ended.error, ended.attempt) == ("expired", "ValueError: no", 1)


def test_a_job_retried_by_hand_expires_no_more(db):
    """Whoever brings it back wants it run."""
    id = enqueue(db, expires_in="1 hour")
    pass_expiry(db)
    expire(db)

    retry(db, id)

    assert live(db, id).expires_at is None


def test_expires_in_counts_from_when_it_may_start(db):
    """So a delayed job has as much time as any other."""
    one = enqueue(db, delay="1 hour", expires_in="10 minutes")
    (many,) = enqueue_many(db, [{"kind": "noop", "delay": "1 hour", "expires_in": "10 minutes"}])

    for id in (one, many):
        found = live(db, id)
        assert (found.expires_at - found.run_at).total_seconds() == 600


def test_without_it_nothing_expires(db):
    """In bulk as well."""
    for id in (enqueue(db), *enqueue_many(db, [{"kind": "noop"}])):
        assert live(db, id).expires_at is None


def test_it_takes_no_more_than_it_is_told(db):
    """A million at once would hold its locks for as long; the first to expire go first."""
    first, second = (enqueue(db, expires_in=after) for after in ("1 hour", "2 hours"))
    db.execute("update pgqueue.job set expires_at = expires_at - interval '1 day'")

    assert expire(db, 1) == 1
    assert (state(db, first), live(db, second) is None) == ("expired", False)


def test_jobs_that_others_have_locked_are_skipped(db, sessions):
    """The leader waits for nobody."""
    (operator,) = sessions(1)
    id = enqueue(db, expires_in="1 hour")
    pass_expiry(db)
    db.execute("set lock_timeout = 1")

    with operator.transaction():
        row(operator, "select from pgqueue.job where id = %s for update", [id])
        assert expire(db) == 0
    assert expire(db) == 1
