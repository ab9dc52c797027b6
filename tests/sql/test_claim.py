"""claim: ready jobs, in order, each to one worker."""

import pytest

from tests.sql.verbs import A, B, claim, enqueue, enqueue_many, fail, ids, job, live, release, row

pytestmark = pytest.mark.integration


def test_a_claimed_job_is_running_and_counted(db):
    """The claims are the fencing token of everything that the worker reports later."""
    id = enqueue(db, "charge", args={"n": 1}, max_attempts=3, timeout="5 s")

    (taken,) = claim(db, A)

    stored = live(db, id)
    assert (taken.id, taken.claims, taken.attempt, taken.max_attempts) == (id, 1, 1, 3)
    assert (taken.queue, taken.kind, taken.args, taken.priority) == ("default", "charge", {"n": 1}, 5)
    assert (taken.run_at, taken.created_at, taken.timeout) == (stored.run_at, stored.created_at, stored.timeout)
    assert (stored.worker, stored.claims, stored.attempt) == (A, 1, 1)
    assert stored.claimed_at >= stored.created_at
    assert job(db, id).state == "running"


def test_a_claimed_job_is_not_claimed_again(db):
    """At least once is the promise; this is what makes it almost always once."""
    enqueue(db)

    assert len(claim(db, A)) == 1
    assert claim(db, B) == []


def test_each_claim_counts_claims_up_for_ever(db):
    """The attempt goes back with a release; the token must not, or an old attempt could write."""
    enqueue(db)

    (first,) = claim(db)
    release(db, A, [first])
    (second,) = claim(db)
    fail(db, A, [second], retry_in="0")
    (third,) = claim(db)

    assert [taken.claims for taken in (first, second, third)] == [1, 2, 3]
    assert [taken.attempt for taken in (first, second, third)] == [1, 1, 2]


def test_the_order_is_priority_then_run_at_then_id(db):
    """What a caller marks as urgent starts first, then who waits longest."""
    last = enqueue(db, priority=9, run_at="2020-01-01 00:00+00")
    second = enqueue(db, priority=3, run_at="2020-01-02 00:00+00")
    third = enqueue(db, priority=3, run_at="2020-01-02 00:00+00")
    first = enqueue(db, priority=3, run_at="2020-01-01 00:00+00")
    very_first = enqueue(db, priority=0)

    assert ids(claim(db, limit=9)) == [very_first, first, second, third, last]


def test_the_order_holds_when_rows_lie_elsewhere_on_disk(db):
    """An update by ctid returns in the order of pages, which is that of history."""
    created = enqueue_many(db, [{"kind": "noop"}] * 50)
    release(db, A, claim(db, limit=20))

    assert ids(claim(db, limit=50)) == created


@pytest.mark.parametrize("limit", [0, 1, 4, 7, 15, 99])
def test_the_limit_is_never_exceeded(db, limit):
    """A worker has so many free slots and no more."""
    created = enqueue_many(db, [{"kind": "noop", "priority": priority} for priority in (0, 5, 9) for _ in range(5)])

    assert ids(claim(db, limit=limit)) == created[:limit]


def test_jobs_beyond_the_limit_are_not_even_locked(db, sessions):
    """A join could lock more rows than it returns, and keep them from everybody else."""
    first, second = sessions(2)
    created = enqueue_many(db, [{"kind": "noop", "priority": priority} for priority in (1, 2, 3) for _ in range(3)])

    with first.transaction():
        taken_by_first = claim(first, A, 4)
        taken_by_second = claim(second, B, 9)

    assert ids(taken_by_first) == created[:4]
    assert ids(taken_by_second) == created[4:]


def test_other_queues_are_left_alone(db):
    """A worker serves the queues it names."""
    enqueue(db, queue="billing")
    mine = enqueue(db, queue="mail")

    assert ids(claim(db, limit=9, queue="mail")) == [mine]


def test_a_job_dated_ahead_is_not_taken(db):
    """It has a time for a reason."""
    enqueue(db, delay="1 hour")

    assert claim(db) == []


def test_jobs_dated_ahead_never_stand_in_the_way(db):
    """However many they are, and however urgent."""
    enqueue_many(db, [{"kind": "noop", "priority": priority, "delay": "1 hour"} for priority in range(10)] * 20)
    ready = enqueue_many(db, [{"kind": "noop", "priority": priority} for priority in range(10)])

    assert ids(claim(db, limit=10)) == ready


def test_a_claim_is_a_hot_update(db):
    """No index entry is written: this halves the cost of a job. An index on a claimed column would end it."""
    enqueue_many(db, [{"kind": "noop", "args": {"text": "x" * 100}}] * 500)

    with db.transaction():
        claim(db, limit=500)
        written = row(
            db,
            """select n_tup_upd as updates, n_tup_hot_upd as hot
               from pg_stat_xact_user_tables where relid = 'pgqueue.job'::regclass""",
        )

    assert (written.updates, written.hot) == (500, 500)


def cursor(**by_priority):
    """A claim cursor: for each priority p=(run_at, id), for the others nothing."""
    after = [by_priority.get(f"p{priority}", (None, None)) for priority in range(10)]
    return [run_at for run_at, _ in after], [id for _, id in after]


def test_the_cursor_skips_what_lies_behind_it(db):
    """Dead index entries lie there, which nothing can remove while an old snapshot is open."""
    first, second, third = (enqueue(db, run_at="2020-01-01 00:00+00") for _ in range(3))
    after = cursor(p5=(live(db, second).run_at, second))

    assert ids(claim(db, limit=9, after=after)) == [third]
    assert ids(claim(db, limit=9)) == [first, second]


def test_the_cursor_of_one_priority_does_not_hide_another(db):
    """A late job of high priority has a later run_at than the low ones that were taken before it."""
    urgent, ordinary = enqueue(db, priority=0), enqueue(db, priority=5)
    ahead = live(db, ordinary).run_at

    assert ids(claim(db, limit=9, after=cursor(p5=(ahead, ordinary)))) == [urgent]


def test_a_cursor_at_the_first_job_of_its_moment_leaves_the_others_of_that_moment(db):
    """A bulk insert gives thousands of jobs one run_at: the id is part of the cursor."""
    created = enqueue_many(db, [{"kind": "noop"}] * 5)
    moment = live(db, created[0]).run_at

    assert ids(claim(db, limit=9, after=cursor(p5=(moment, created[1])))) == created[2:]


def test_a_sweep_finds_what_became_runnable_behind_the_cursor(db):
    """Late commits, retries and released jobs: the reason to sweep every second or so."""
    first, second = enqueue(db), enqueue(db)
    taken = claim(db, limit=2)
    after = cursor(p5=(taken[1].run_at, second))
    release(db, A, taken[:1])

    assert claim(db, after=after) == []
    assert ids(claim(db)) == [first]
