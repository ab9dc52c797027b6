"""A rescue meets the worker it is about to declare dead, or another rescue."""

import psycopg
import pytest

from tests.races.steps import start
from tests.sql.verbs import (
    claim,
    claimed,
    dead_worker,
    enqueue,
    exchange,
    heartbeat,
    ids,
    live,
    register,
    rescue,
    silent_for,
    state,
    value,
)

pytestmark = pytest.mark.integration


@pytest.fixture
def frozen(sessions) -> int:
    """A worker that was silent for too long, though its process is still there."""
    (steward,) = sessions(1)
    worker = register(steward)
    silent_for(steward, worker, "3 min")
    return worker


def test_two_rescues_at_once_do_it_once(db, sessions):
    """Two leaders for a moment: the second neither waits nor counts the attempt again."""
    first, second = sessions(2)
    second.execute("set lock_timeout = 1")
    worker = dead_worker(sessions)
    held = claimed(db, worker)

    with first.transaction():
        assert rescue(first) == {worker: 1}
        assert rescue(second) == {}

    assert rescue(second) == {}
    assert live(db, held.id).attempt == 1
    assert value(db, "select count(*) from pgqueue.attempt") == 1


def test_two_rescues_of_a_worker_whose_lock_looks_held_do_it_once(db, sessions, frozen):
    """Here no lock of the worker tells them apart."""
    first, second = sessions(2)
    second.execute("set lock_timeout = 1")
    claimed(db, frozen)

    with first.transaction():
        assert rescue(first) == {frozen: 1}
        assert rescue(second) == {}

    assert rescue(second) == {}
    assert value(db, "select count(*) from pgqueue.attempt") == 1


def test_a_rescue_that_rolls_back_leaves_it_to_the_next(db, sessions):
    """The leader died in the middle of it."""
    first, second = sessions(2)
    worker = dead_worker(sessions)
    held = claimed(db, worker)

    with first.transaction(force_rollback=True):
        rescue(first)

    assert rescue(second) == {worker: 1}
    assert state(db, held.id) == "ready"


def test_a_beat_that_waits_for_the_rescue_is_refused(db, sessions, frozen):
    """It would otherwise believe for another two seconds that it lives, and so would the row."""
    leader, steward = sessions(2)

    with leader.transaction():
        rescue(leader)
        beating = start(steward, lambda: heartbeat(steward, frozen))
        beating.waits()

    with pytest.raises(psycopg.Error) as refused:
        beating.result()
    assert refused.value.sqlstate == "PQ005"
    assert value(db, "select clock_timestamp() - heartbeat_at > '30 s' from pgqueue.worker") is True


def test_a_rescue_passes_over_a_worker_that_is_beating(db, sessions, frozen):
    """Its beat is about to commit: not dead at all."""
    steward, leader = sessions(2)
    leader.execute("set lock_timeout = 1")
    held = claimed(db, frozen)

    with steward.transaction():
        heartbeat(steward, frozen)
        assert rescue(leader) == {}

    assert rescue(leader) == {}
    assert state(db, held.id) == "running"


def test_a_registration_is_not_seen_before_its_lock_is_held(db, sessions):
    """Or a leader might find a worker without a lock."""
    steward, leader = sessions(2)

    with steward.transaction():
        register(steward)
        assert rescue(leader, silence="0 s", patience="1 hour") == {}

    assert rescue(leader, silence="0 s", patience="1 hour") == {}


def test_an_exchange_after_the_rescue_is_refused_and_claims_nothing(db, sessions, frozen):
    """The frozen process wakes up and wants to go on."""
    leader, lane = sessions(2)
    waiting = enqueue(db)

    with leader.transaction():
        rescue(leader)

    with pytest.raises(psycopg.Error) as refused:
        exchange(lane, frozen)
    assert refused.value.sqlstate == "PQ005"
    assert state(db, waiting) == "ready"


def test_an_exchange_that_asked_before_the_rescue_and_claims_after_it_is_found_by_the_later_look(db, sessions, frozen):
    """It saw no death mark, so its claim stands; nobody will run the job, until the second look."""
    leader, lane = sessions(2)
    straggler = enqueue(db)

    with lane.transaction():
        assert ids(exchange(lane, frozen)) == [straggler]
        assert rescue(leader) == {frozen: 0}
    assert state(db, straggler) == "running"

    db.execute("update pgqueue.worker set died_at = died_at - interval '31 s'")
    assert rescue(leader) == {frozen: 1}
    assert ids(claim(db)) == [straggler]


def test_an_exchange_hands_in_nothing_if_its_worker_is_declared_dead_while_it_waits(db, sessions, frozen):
    """All or nothing: the outcome was lost, so the worker must learn that it is dead before it takes more."""
    leader, lane = sessions(2)
    held = claimed(db, frozen)
    waiting = enqueue(db)

    with leader.transaction():
        rescue(leader)
        exchanging = start(lane, lambda: exchange(lane, frozen, [held]))
        exchanging.waits()

    with pytest.raises(psycopg.Error) as refused:
        exchanging.result()
    assert refused.value.sqlstate == "PQ005"
    assert [state(db, id) for id in (held.id, waiting)] == ["ready", "ready"]
