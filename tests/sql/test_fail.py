"""fail: an attempt that did not succeed, and what becomes of its job."""

from datetime import datetime, timedelta

import pytest

from tests.sql.verbs import (
    A,
    claim,
    claimed,
    enqueue,
    enqueue_many,
    everything,
    fail,
    ids,
    job,
    live,
    register,
    rescue,
    row,
    rows,
    silent_for,
    value,
    values,
)

pytestmark = pytest.mark.integration


def test_a_job_with_attempts_left_waits_for_its_next_one(db):
    """The pause is the worker's to choose: backoff and jitter are policy."""
    taken = claimed(db, max_attempts=2)

    assert fail(db, A, [taken], retry_in="90 s") == []

    waiting = live(db, taken.id)
    noted = row(db, "select * from pgqueue.attempt")
    assert job(db, taken.id).state == "scheduled"
    assert waiting.run_at - noted.finished_at == timedelta(seconds=90)
    assert (waiting.worker, waiting.claimed_at, waiting.attempt, waiting.claims) == (None, None, 1, 1)


def test_the_attempt_stays_on_record(db):
    """The story of a job survives its retries."""
    taken = claimed(db)
    claimed_at = live(db, taken.id).claimed_at

    fail(db, A, [taken], "ValueError: no such invoice", "Traceback …", retry_in="0")

    noted = row(db, "select * from pgqueue.attempt")
    assert (noted.job, noted.claims, noted.attempt, noted.worker) == (taken.id, 1, 1, A)
    assert (noted.error, noted.traceback) == ("ValueError: no such invoice", "Traceback …")
    assert noted.started_at == claimed_at
    assert noted.finished_at > noted.started_at
    assert job(db, taken.id).error == "ValueError: no such invoice"


def test_the_last_attempt_ends_the_job_as_failed_whatever_pause_was_asked_for(db):
    """Attempts used up are used up: the worker need not count."""
    enqueue(db, max_attempts=2)

    fail(db, A, claim(db), "ValueError: first", retry_in="0")
    (taken,) = claim(db)
    fail(db, A, [taken], "ValueError: second", retry_in="0")

    dead = job(db, taken.id)
    assert live(db, taken.id) is None
    assert (dead.state, dead.attempt, dead.error) == ("failed", 2, "ValueError: second")
    assert dead.started_at <= dead.finished_at
    assert [noted.error for noted in rows(db, "select error from pgqueue.attempt order by claims")] == [
        "ValueError: first",
        "ValueError: second",
    ]


def test_no_retry_ends_the_job_as_failed_whatever_attempts_are_left(db):
    """Some errors do not get better by waiting."""
    taken = claimed(db, max_attempts=20)

    fail(db, A, [taken], retry_in=None)

    assert job(db, taken.id).state == "failed"
    assert value(db, "select count(*) from pgqueue.attempt") == 1


def test_a_batch_may_hold_every_outcome(db):
    """Each job by its own error, pause and attempts."""
    enqueue_many(db, [{"kind": "noop", "max_attempts": attempts} for attempts in (1, 2, 2, 2)])
    taken = claim(db, A, 4)
    fail(db, A, taken[3:], retry_in="1 hour")

    lost = db.execute(
        """select * from pgqueue.fail(%s, %s, %s, array['e0', 'e1', 'e2', 'e3'], array['t0', null, 't2', null],
               array['1 s', '1 hour', null, '1 s']::interval[])""",
        [A, ids(taken), [each.claims for each in taken]],
    ).fetchall()

    assert lost == [(taken[3].id,)]
    assert [job(db, id).state for id in ids(taken)] == ["failed", "scheduled", "failed", "scheduled"]
    assert [job(db, id).error for id in ids(taken)] == ["e0", "e1", "e2", "ValueError: no"]
    noted = rows(db, "select error, traceback from pgqueue.attempt order by job")
    assert noted == [("e0", "t0"), ("e1", None), ("e2", "t2"), ("ValueError: no", None)]


def test_a_retry_at_once_is_ready_at_once(db):
    """For a worker that died there is nothing to wait for."""
    taken = claimed(db)

    fail(db, A, [taken], retry_in="0")

    assert ids(claim(db)) == [taken.id]


def test_a_retry_goes_behind_those_that_are_ready(db):
    """run_at moves, so a job that fails in circles does not hold up the rest of its priority."""
    taken = claimed(db)
    other = enqueue(db)

    fail(db, A, [taken], retry_in="0")

    assert ids(claim(db, limit=2)) == [other, taken.id]


def test_the_fingerprint_is_kept_and_never_missing(db):
    """Failures are counted by it. Whoever gives none, as the rescue, is told by the type alone."""
    enqueue_many(db, [{"kind": "noop"}] * 3)
    first, second, third = claim(db, A, 3)

    fail(db, A, [first], "ValueError: order 7", fingerprint="2f3c")
    fail(db, A, [second], "WorkerDied: worker 7 died")
    fail(db, A, [third], "WorkerDied: worker 8 died")

    given, told, again = values(db, "select fingerprint from pgqueue.attempt order by job")
    assert given == "2f3c"
    assert told == again == value(db, "select left(md5('WorkerDied'), 16)")


@pytest.fixture
def hooked(sessions):
    """A worker that has a hook for kind noop."""
    (steward,) = sessions(1)
    return register(steward, kinds={"noop": "noop:on_failed", "plain": None, "noop:on_failed": None})


def hooks(db):
    return rows(db, "select * from pgqueue.job where kind = 'noop:on_failed'")


def test_a_job_that_ends_as_failed_enqueues_its_hook_once(db, hooked):
    """After the last attempt and no other, in the transaction that ends the job: none is lost, none is told twice."""
    taken = claimed(db, hooked, max_attempts=2, args={"order": 7}, priority=3)
    fail(db, hooked, [taken], "ValueError: first", retry_in="0")
    assert hooks(db) == []
    (last,) = claim(db, hooked)
    fail(db, hooked, [last], "ValueError: second", "Traceback …", retry_in="0", fingerprint="2f3c")
    fail(db, hooked, [last], "ValueError: second", "Traceback …", retry_in="0", fingerprint="2f3c")

    (hook,) = hooks(db)
    assert (hook.queue, hook.priority, hook.max_attempts, hook.attempt) == ("default", 3, 1, 0)
    told = hook.args.pop("failure")
    dead = job(db, taken.id)
    assert hook.args == {}
    assert datetime.fromisoformat(told.pop("created_at")) == dead.created_at
    assert datetime.fromisoformat(told.pop("failed_at")) == dead.finished_at
    assert told == {
        "id": taken.id,
        "kind": "noop",
        "queue": "default",
        "args": {"order": 7},
        "error": "ValueError: second",
        "traceback": "Traceback …",
        "fingerprint": "2f3c",
        "attempt": 2,
        "max_attempts": 2,
    }


def test_a_failure_that_rolls_back_enqueues_no_hook(db, hooked):
    """The job did not end."""
    taken = claimed(db, hooked)

    with db.transaction(force_rollback=True):
        fail(db, hooked, [taken])
        assert len(hooks(db)) == 1

    assert hooks(db) == []


def test_only_kinds_with_a_hook_have_one(db, hooked):
    """Nor does a hook have one of its own: a failing hook would go round for ever."""
    for kind in ("plain", "unheard_of", "noop:on_failed"):
        fail(db, hooked, [claimed(db, hooked, kind=kind)])

    assert value(db, "select count(*) from pgqueue.job") == 0


def test_a_job_that_was_asked_to_stop_has_no_hook(db, hooked):
    """It is no dead letter."""
    taken = claimed(db, hooked)
    db.execute("update pgqueue.job set cancel_reason = 'no need'")

    fail(db, hooked, [taken])

    assert (job(db, taken.id).state, hooks(db)) == ("cancelled", [])


def test_a_job_that_died_with_its_worker_has_its_hook(db, hooked):
    """Who kills its workers is what one wants to hear of most."""
    claimed(db, hooked, max_attempts=1)
    silent_for(db, hooked, "3 min")

    rescue(db)

    (hook,) = hooks(db)
    assert hook.args["failure"]["error"].startswith("WorkerDied")
    assert hook.args["failure"]["traceback"] is None


def test_a_hook_is_not_told_secrets(db, hooked):
    """What it is told goes into mails and chats."""
    taken = claimed(db, hooked, args={"order": 7, "password": "hunter2", "card": {"$secret": "4711"}})

    fail(db, hooked, [taken])

    (hook,) = hooks(db)
    assert hook.args["failure"]["args"] == {"order": 7, "password": "***", "card": "***"}


def test_arguments_of_any_size_reach_the_hook(db, hooked):
    """As large as a job's may be: a hook must not be refused where its job was not."""
    taken = claimed(db, hooked, args={"text": "x" * 1_000_000})

    fail(db, hooked, [taken], traceback="y" * 100_000)

    (hook,) = hooks(db)
    assert len(hook.args["failure"]["args"]["text"]) == 1_000_000


def test_nothing_to_fail_is_no_error(db):
    """Nor does it write."""
    assert fail(db, A, []) == []
    assert everything(db) == []


@pytest.mark.parametrize("retry_in", [None, "1 minute"])
def test_an_attempt_that_is_told_twice_in_one_call_is_recorded_once(db, retry_in):
    """A batch must not fail as a whole, and all its other jobs with it, for one that is in it twice."""
    first, second = claimed(db), claimed(db)

    assert fail(db, A, [first, second, first], retry_in=retry_in) == []

    assert [noted.job for noted in rows(db, "select job from pgqueue.attempt order by job")] == [first.id, second.id]
    assert job(db, first.id).state == ("failed" if retry_in is None else "scheduled")
