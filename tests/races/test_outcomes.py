"""Two reports meet at one job: one is recorded, the other is told that it lost."""

import pytest

from tests.races.steps import start
from tests.sql.verbs import (
    A,
    B,
    abandon,
    claim,
    claimed,
    enqueue_many,
    exchange,
    fail,
    finish,
    ids,
    job,
    live,
    reconcile,
    register,
    release,
    rescue,
    set_aside,
    silent_for,
    snooze,
    state,
    value,
)

pytestmark = pytest.mark.integration


OTHERS = {"snooze": snooze, "set aside": set_aside, "abandon": abandon}


def report(conn, verb, worker, jobs):
    """The ids that were lost, by whichever verb."""
    if verb == "finish":
        return finish(conn, worker, jobs)
    if verb == "fail":
        return fail(conn, worker, jobs, retry_in="0")
    if verb == "exchange":
        return ids(exchange(conn, worker, jobs, queues=[], limits=[]))
    if verb in OTHERS:
        return OTHERS[verb](conn, worker, jobs)
    released = release(conn, worker, jobs)
    return [each.id for each in jobs if each.id not in released]


EXPECTED = {"finish": "completed", "exchange": "completed", "fail": "ready", "release": "ready"}
EXPECTED |= {"snooze": "scheduled", "set aside": "scheduled", "abandon": "cancelled"}
VERBS = list(EXPECTED)


@pytest.fixture
def frozen(sessions) -> int:
    """A worker that was silent for too long, though its process is still there and about to report."""
    (steward,) = sessions(1)
    worker = register(steward)
    silent_for(steward, worker, "3 min")
    return worker


@pytest.mark.parametrize("verb", VERBS)
def test_a_report_that_waits_for_the_rescue_has_lost(db, sessions, frozen, verb):
    """The job was given to others a moment before."""
    leader, lane = sessions(2)
    held = claimed(db, frozen)

    with leader.transaction():
        assert rescue(leader) == {frozen: 1}
        reporting = start(lane, lambda: report(lane, verb, frozen, [held]))
        reporting.waits()

    assert reporting.result() == [held.id]
    assert (state(db, held.id), live(db, held.id).attempt) == ("ready", 1)
    assert value(db, "select error like 'WorkerDied%' from pgqueue.attempt") is True


@pytest.mark.parametrize("verb", VERBS)
def test_a_rescue_that_waits_for_a_report_leaves_its_outcome(db, sessions, frozen, verb):
    """It came in time: the job needs no rescue, and no attempt has died."""
    lane, leader = sessions(2)
    held = claimed(db, frozen)

    with lane.transaction():
        assert report(lane, verb, frozen, [held]) == []
        rescuing = start(leader, lambda: rescue(leader))
        rescuing.waits()

    rescuing.result()
    assert value(db, "select count(*) from pgqueue.attempt where error like 'WorkerDied%'") == 0
    assert state(db, held.id) == EXPECTED[verb]


@pytest.mark.parametrize("verb", VERBS)
def test_a_report_that_rolls_back_leaves_the_job_to_the_rescue(db, sessions, frozen, verb):
    """Its connection broke before the commit."""
    lane, leader = sessions(2)
    held = claimed(db, frozen)

    with lane.transaction(force_rollback=True):
        report(lane, verb, frozen, [held])
        rescuing = start(leader, lambda: rescue(leader))
        rescuing.waits()

    assert rescuing.result() == {frozen: 1}
    assert state(db, held.id) == "ready"


@pytest.mark.parametrize("blocked", [1, 2])
@pytest.mark.parametrize("verb", [verb for verb in VERBS if verb != "exchange"])
def test_reports_of_a_batch_and_a_rescue_never_wait_for_each_other(db, sessions, frozen, verb, blocked):
    """Both lock in id order, whatever order the batch has: else one of them would die of a deadlock."""
    blocker, leader, lane = sessions(3)
    enqueue_many(db, [{"kind": "noop"}] * 3)
    taken = first, second, third = claim(db, frozen, 3)

    with blocker.transaction():
        blocker.execute("select from pgqueue.job where id = %s for update", [taken[blocked].id])
        reporting = start(lane, lambda: report(lane, verb, frozen, [second, third, first]))
        reporting.waits()
        rescuing = start(leader, lambda: rescue(leader))
        rescuing.waits()

    assert sorted(reporting.result()) == []
    rescuing.result()
    assert value(db, "select count(*) from pgqueue.attempt where error like 'WorkerDied%'") == 0


@pytest.mark.parametrize("second_verb", VERBS)
@pytest.mark.parametrize("first_verb", VERBS)
def test_of_two_reports_of_one_claim_one_is_recorded(db, sessions, first_verb, second_verb):
    """A timeout and a result at the same moment; or a report sent again because its answer was lost."""
    one, other = sessions(2)
    held = claimed(db, A)

    with one.transaction():
        assert report(one, first_verb, A, [held]) == []
        reporting = start(other, lambda: report(other, second_verb, A, [held]))
        reporting.waits()

    assert reporting.result() == [held.id]
    assert state(db, held.id) == EXPECTED[first_verb]


@pytest.mark.parametrize("verb", VERBS)
def test_a_stale_report_does_not_touch_the_claim_that_came_after_it(db, sessions, verb):
    """While it waited the job was given back and taken again, by the same worker even."""
    holder, lane = sessions(2)
    stale = claimed(db, A)

    with holder.transaction():
        release(holder, A, [stale])
        (fresh,) = claim(holder, A)
        reporting = start(lane, lambda: report(lane, verb, A, [stale]))
        reporting.waits()

    assert reporting.result() == [stale.id]
    assert finish(db, A, [fresh]) == []


@pytest.mark.parametrize("verb", VERBS)
def test_a_fresh_report_is_not_disturbed_by_a_stale_one(db, sessions, verb):
    """The stale one matches nothing, so it does not even wait."""
    lane, late = sessions(2)
    late.execute("set lock_timeout = 1")
    stale = claimed(db, A)
    release(db, A, [stale])
    (fresh,) = claim(db, B)

    with lane.transaction():
        assert finish(lane, B, [fresh]) == []
        assert report(late, verb, A, [stale]) == [stale.id]

    assert job(db, fresh.id).state == "completed"


def test_a_reconcile_leaves_what_is_reported_at_that_moment(db, sessions):
    """The exchange whose answer was lost is still under way on the server."""
    old_lane, new_lane = sessions(2)
    held = claimed(db, A)

    with old_lane.transaction():
        finish(old_lane, A, [held])
        reconciling = start(new_lane, lambda: reconcile(new_lane, A, []))
        reconciling.waits()

    assert reconciling.result() == []
    assert state(db, held.id) == "completed"
