"""next_run_at: what a sleeper sets its timer by."""

import pytest

from tests.sql.verbs import claimed, enqueue, live, value

pytestmark = pytest.mark.integration


def next_run_at(db, queue="default"):
    return value(db, "select pgqueue.next_run_at(%s)", [queue])


def test_it_is_null_when_nothing_waits(db):
    """No timer to set."""
    enqueue(db, queue="other")

    assert next_run_at(db) is None


def test_it_is_the_earliest_of_all_priorities(db):
    """The timer is for the queue; priority decides only among what is ready."""
    enqueue(db, priority=0, delay="3 hours")
    first = enqueue(db, priority=9, delay="1 hour")
    enqueue(db, priority=5, delay="2 hours")

    assert next_run_at(db) == live(db, first).run_at


def test_running_jobs_do_not_count(db):
    """They are somebody's already."""
    claimed(db)
    assert next_run_at(db) is None

    later = enqueue(db, delay="1 hour")
    assert next_run_at(db) == live(db, later).run_at


def test_a_ready_job_is_in_the_past(db):
    """The timer fires at once."""
    ready = enqueue(db)
    enqueue(db, delay="1 hour")

    assert next_run_at(db) == live(db, ready).run_at
