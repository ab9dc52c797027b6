"""exchange: hand in and take, in one round trip and one commit."""

import psycopg
import pytest

from tests.sql.verbs import (
    B,
    claim,
    enqueue,
    enqueue_many,
    exchange,
    fail,
    ids,
    job,
    live,
    register,
    silent_for,
    state,
    value,
)

pytestmark = pytest.mark.integration


@pytest.fixture
def worker(sessions) -> int:
    """Registered: an exchange that claims asks for it."""
    (steward,) = sessions(1)
    return register(steward)


def test_what_completed_is_recorded_and_new_jobs_are_taken(db, worker):
    """The hot path: one round trip for both."""
    first, second = enqueue_many(db, [{"kind": "noop"}] * 2)
    taken = exchange(db, worker, limits=[1])

    more = exchange(db, worker, taken)

    assert (ids(taken), ids(more)) == ([first], [second])
    assert (state(db, first), state(db, second)) == ("completed", "running")
    assert (more[0].claims, more[0].attempt, more[0].kind) == (1, 1, "noop")


def test_results_are_stored(db, worker):
    """With the job they belong to."""
    id = enqueue(db)
    (taken,) = exchange(db, worker)

    db.execute(
        """select pgqueue.exchange(%s, %s, %s, array['{"sum": 3}'::jsonb], '{}', '{}')""",
        [worker, [id], [taken.claims]],
    )

    assert job(db, id).result == {"sum": 3}


def test_a_lost_claim_comes_first_with_nothing_but_its_id(db, worker):
    """So the worker can tell it from a job to run."""
    enqueue_many(db, [{"kind": "noop"}] * 3)
    lost, kept = exchange(db, worker, limits=[2])
    fail(db, worker, [lost], retry_in="1 hour")

    first, second = exchange(db, worker, [lost, kept])

    assert first.id == lost.id
    assert set(first[1:]) == {None}
    assert second.claims == 1
    assert state(db, kept.id) == "completed"


def test_each_queue_has_its_own_limit(db, worker):
    """Slots are per queue; the order is that of the queues."""
    for queue in ("mail", "billing", "other"):
        enqueue_many(db, [{"kind": "noop", "queue": queue}] * 3)

    taken = exchange(db, worker, queues=["billing", "mail"], limits=[1, 2])

    assert [each.queue for each in taken] == ["billing", "mail", "mail"]


def test_each_queue_has_its_own_cursor(db, worker):
    """Ten elements for each, one after the other."""
    billing, mail = enqueue(db, queue="billing"), enqueue(db, queue="mail")
    moment = live(db, mail).run_at
    after = [None] * 10 + [None] * 5 + [moment] + [None] * 4, [None] * 10 + [None] * 5 + [mail] + [None] * 4

    assert ids(exchange(db, worker, queues=["billing", "mail"], limits=[9, 9], after=after)) == [billing]
    assert ids(exchange(db, worker, queues=["billing", "mail"], limits=[9, 9])) == [mail]


def test_it_may_only_hand_in(db, worker):
    """A worker that stops takes no more."""
    waiting = [enqueue(db) for _ in range(2)]
    taken = exchange(db, worker, limits=[1])

    assert exchange(db, worker, taken, queues=[], limits=[]) == []
    assert [state(db, id) for id in waiting] == ["completed", "ready"]


@pytest.mark.parametrize("fate", ["died", "left", "was never known"])
def test_a_worker_that_is_no_more_neither_hands_in_nor_takes(db, sessions, fate):
    """Nobody would look for its jobs again."""
    (steward,) = sessions(1)
    worker = register(steward)
    enqueue_many(db, [{"kind": "noop"}] * 2)
    taken = exchange(db, worker, limits=[1])
    if fate == "died":
        db.execute("update pgqueue.worker set died_at = now() where id = %s", [worker])
    elif fate == "left":
        db.execute("update pgqueue.worker set stopped_at = now() where id = %s", [worker])
    else:
        db.execute("delete from pgqueue.worker where id = %s", [worker])

    with pytest.raises(psycopg.Error, match=f"worker {worker} was declared dead or has left") as refused:
        exchange(db, worker, taken)

    assert refused.value.sqlstate == "PQ005"
    assert "register again" in refused.value.diag.message_hint
    assert state(db, taken[0].id) == "running"
    assert value(db, "select count(*) from pgqueue.job where worker is null") == 1


def test_a_worker_that_left_may_still_hand_in(db, sessions):
    """The fence decides: what it still holds is its own."""
    (steward,) = sessions(1)
    worker = register(steward)
    enqueue(db)
    taken = exchange(db, worker)
    db.execute("update pgqueue.worker set stopped_at = now() where id = %s", [worker])

    assert exchange(db, worker, taken, queues=[], limits=[]) == []
    assert state(db, taken[0].id) == "completed"


def test_an_outcome_waits_for_the_disk_and_a_claim_does_not(db, worker):
    """A claim lost in a server crash is a job that starts again; a lost outcome would be a job that ran for nothing."""
    enqueue_many(db, [{"kind": "noop"}] * 2)
    with db.transaction():
        db.execute("set local synchronous_commit = on")
        taken = exchange(db, worker, limits=[1])
        only_claimed = value(db, "select current_setting('synchronous_commit')")
    with db.transaction():
        db.execute("set local synchronous_commit = on")
        exchange(db, worker, taken, limits=[1])
        handed_in = value(db, "select current_setting('synchronous_commit')")

    assert (only_claimed, handed_in) == ("off", "on")


def test_no_setting_stays_behind(db, worker):
    """The connection may go on to write things that matter."""
    before = value(db, "select current_setting('synchronous_commit')")
    exchange(db, worker)

    assert value(db, "select current_setting('synchronous_commit')") == before


def test_a_silent_worker_that_nobody_declared_dead_goes_on(db, sessions):
    """Late is not dead: only rescue decides, and it is one place."""
    (steward,) = sessions(1)
    worker = register(steward)
    silent_for(db, worker, "1 hour")
    id = enqueue(db)

    assert ids(exchange(db, worker)) == [id]


def test_the_rows_are_those_of_claim(db, worker):
    """A worker reads one shape, however it came by the job."""
    enqueue_many(db, [{"kind": "noop", "args": {"n": n}, "timeout": "5 s"} for n in range(2)])
    (by_claim,), (by_exchange,) = claim(db, B), exchange(db, worker, limits=[1])

    assert by_claim._fields == by_exchange._fields
    assert by_exchange[1:4] == by_claim[1:4]
    assert by_exchange.timeout == by_claim.timeout
