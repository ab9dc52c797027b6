"""park, settled, unpark: the steps of going to sleep and waking up."""

import pytest

from tests.sql.bells import park, settled, unpark
from tests.sql.verbs import enqueue, values

pytestmark = pytest.mark.integration


def held(db, connection):
    return values(
        db,
        "select classid::bigint from pg_locks where pid = %s and locktype = 'advisory' order by 1",
        [connection.info.backend_pid],
    )


def test_a_quiet_queue_is_settled_at_once(db, sessions):
    """An idle worker goes to sleep after one more look."""
    (sleeper,) = sessions(1)

    assert park(sleeper) is True
    assert settled(sleeper) is True


def test_parked_stays_held_and_the_gate_does_not(db, sessions):
    """Holding the gate would make every producer ring for as long as the worker sleeps."""
    (sleeper,) = sessions(1)
    park(sleeper)
    assert held(db, sleeper) == [1885827330]

    settled(sleeper)
    assert held(db, sleeper) == [1885827330]

    unpark(sleeper)
    assert held(db, sleeper) == []


def test_a_producer_of_another_queue_keeps_nobody_awake(db, sessions):
    """Each queue has a gate of its own."""
    producer, sleeper = sessions(2)

    with producer.transaction():
        enqueue(producer, queue="billing")
        assert park(sleeper, "mail") is True
        assert settled(sleeper, "billing") is False


def test_many_workers_park_at_the_same_queue(db, sessions):
    """They share it: none waits for another."""
    sleepers = sessions(3)
    for sleeper in sleepers:
        sleeper.execute("set lock_timeout = 1")

    assert [park(sleeper) for sleeper in sleepers] == [True] * 3
