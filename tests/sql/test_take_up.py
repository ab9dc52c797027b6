"""take_up: a worker came that knows the kind, and what waited for it is ready at once."""

import pytest

from tests.sql.bells import heard, listener
from tests.sql.verbs import (
    A,
    claim,
    enqueue,
    enqueue_many,
    fail,
    ids,
    job,
    register,
    row,
    rows,
    set_aside,
    snooze,
    state,
    take_up,
    values,
)

pytestmark = pytest.mark.integration


@pytest.fixture
def newcomer(db, sessions):
    """A worker with a handler for new_kind, in queue default."""
    (steward,) = sessions(1)
    return register(steward, kinds={"new_kind": None})


def aside(db, *kinds, **options):
    """Ids of new jobs of these kinds that wait for a handler."""
    for kind in kinds:
        enqueue(db, kind, **options)
    taken = claim(db, A, len(kinds), queue=options.get("queue", "default"))
    set_aside(db, A, taken)
    return ids(taken)


def test_jobs_of_its_kinds_are_ready_at_once(db, newcomer):
    """The deploy is done: nobody waits for the next try. It runs with all its attempts."""
    new, other = aside(db, "new_kind", "other")

    assert take_up(db, newcomer) == 1

    assert (state(db, new), state(db, other)) == ("ready", "scheduled")
    assert job(db, new).error is None
    assert values(db, "select kind from pgqueue.unknown_kinds") == ["other"]


def test_only_in_its_own_queues(db, newcomer):
    """It would not come for the others."""
    aside(db, "new_kind", queue="elsewhere")

    assert take_up(db, newcomer) == 0


def test_what_waits_for_another_reason_goes_on_waiting(db, newcomer):
    """Its handler asked for that time."""
    enqueue(db, "new_kind")
    taken = claim(db)
    snooze(db, A, taken)

    assert take_up(db, newcomer) == 0
    assert state(db, taken[0].id) == "scheduled"


def test_a_job_that_was_moved_on_meanwhile_is_left_alone(db, newcomer):
    """It was tried again and waits for something else now."""
    aside(db, "new_kind")
    db.execute("update pgqueue.job set run_at = now()")
    (taken,) = claim(db)

    assert take_up(db, newcomer) == 0
    assert state(db, taken.id) == "running"


def test_a_job_that_has_run_since_keeps_its_pause(db, newcomer):
    """Its kind was known to somebody: it failed, and waits as its backoff says."""
    (id,) = aside(db, "new_kind")
    db.execute("update pgqueue.job set run_at = now()")
    fail(db, A, claim(db), retry_in="1 hour")

    assert take_up(db, newcomer) == 0
    assert state(db, id) == "scheduled"


def test_sleeping_workers_are_rung(db, newcomer, sessions):
    """Every verb that makes a job runnable does."""
    aside(db, "new_kind")
    sleeper = listener(sessions, parked="default")

    take_up(db, newcomer)

    assert heard(sleeper, db) == ["default"]


def test_many_are_taken_up_in_portions(db, newcomer):
    """A million of them must not hold up the worker that came."""
    enqueue_many(db, [{"kind": "new_kind"}] * 25)
    set_aside(db, A, claim(db, A, 25))

    assert [take_up(db, newcomer, 10) for _ in range(4)] == [10, 10, 5, 0]
    assert rows(db, "select * from pgqueue.postponed") == []


def test_a_job_that_another_transaction_holds_is_skipped(db, newcomer, sessions):
    """Its operator cancels it at this moment."""
    (operator,) = sessions(1)
    held, free = aside(db, "new_kind", "new_kind")
    with operator.transaction():
        operator.execute("select from pgqueue.job where id = %s for update", [held])
        db.execute("set lock_timeout = '5s'")
        assert take_up(db, newcomer) == 1

    assert (state(db, held), state(db, free)) == ("scheduled", "ready")


def test_a_worker_that_knows_nothing_recalls_nothing(db, sessions):
    """One that does not say what it knows: its jobs come back by themselves."""
    (steward,) = sessions(1)
    aside(db, "new_kind")

    assert take_up(db, register(steward)) == 0
    assert take_up(db, 4711) == 0
    assert row(db, "select jobs from pgqueue.unknown_kinds") == (1,)
