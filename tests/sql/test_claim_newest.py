"""claim_newest: in a queue set to lifo the newest job starts first."""

import pytest

from tests.sql.test_set_queue import set_queue
from tests.sql.verbs import enqueue, exchange, ids, register

pytestmark = pytest.mark.integration


@pytest.fixture
def worker(db):
    return register(db)


def test_the_newest_ready_job_comes_first_within_its_priority(db, worker):
    """Priority still goes first, and what is dated ahead still waits."""
    set_queue(db, lifo=True)
    first, second, third = (enqueue(db) for _ in range(3))
    urgent = enqueue(db, priority=0)
    enqueue(db, delay="1 hour")

    assert ids(exchange(db, worker, limits=[3])) == [urgent, third, second]
    assert ids(exchange(db, worker, limits=[3])) == [first]


def test_a_cursor_does_not_hide_anything(db, worker):
    """What was taken last is older than what comes now, and newer than what is left."""
    set_queue(db, lifo=True)
    left = enqueue(db)
    (taken,) = exchange(db, worker, limits=[1])
    enqueued = [enqueue(db), enqueue(db)]
    cursor = ([taken.run_at] * 10, [taken.id] * 10)

    assert taken.id == left
    assert ids(exchange(db, worker, limits=[9], after=cursor)) == enqueued[::-1]


def test_other_queues_stay_as_they_are(db, worker):
    """One exchange may ask for both."""
    set_queue(db, "stack", lifo=True)
    stack = [enqueue(db, queue="stack") for _ in range(2)]
    line = [enqueue(db, queue="line") for _ in range(2)]

    taken = exchange(db, worker, queues=["stack", "line"], limits=[9, 9])

    assert ids(taken) == stack[::-1] + line


def test_a_change_of_the_setting_holds_for_the_next_claim(db, worker):
    """No worker has to be told or started anew."""
    made = [enqueue(db) for _ in range(4)]

    assert ids(exchange(db, worker, limits=[1])) == [made[0]]
    set_queue(db, lifo=True)
    assert ids(exchange(db, worker, limits=[1])) == [made[3]]
    set_queue(db, lifo=False)
    assert ids(exchange(db, worker, limits=[1])) == [made[1]]
