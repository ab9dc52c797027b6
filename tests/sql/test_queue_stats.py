"""The view queue_stats: how many jobs of each queue are in each state."""

from datetime import timedelta

import pytest

from tests.sql.contract import columns
from tests.sql.verbs import A, cancel, claim, enqueue, enqueue_many, fail, finish, row, rows, value

pytestmark = pytest.mark.integration


def test_its_columns_are_a_contract(db):
    """Monitoring reads them."""
    assert columns(db, "queue_stats")[:9] == [
        ("queue", "text"),
        ("ready", "bigint"),
        ("scheduled", "bigint"),
        ("running", "bigint"),
        ("completed", "bigint"),
        ("failed", "bigint"),
        ("cancelled", "bigint"),
        ("expired", "bigint"),
        ("oldest_ready_age", "interval"),
    ]


def test_each_state_is_counted(db):
    """Different numbers, so that no two can be mixed up."""
    enqueue_many(db, [{"kind": "noop"}] * 10)
    finish(db, A, claim(db, A, 1))
    fail(db, A, claim(db, A, 2))
    claim(db, A, 3)
    enqueue_many(db, [{"kind": "noop", "delay": "1 hour"}] * 5)
    for id in [enqueue(db) for _ in range(7)][:6]:
        cancel(db, id)

    stats = row(db, "select * from pgqueue.queue_stats")

    assert stats.queue == "default"
    assert (stats.ready, stats.scheduled, stats.running) == (5, 5, 3)
    assert (stats.completed, stats.failed, stats.cancelled, stats.expired) == (1, 2, 6, 0)


def test_each_queue_has_a_row_of_its_own(db):
    """Also one with finished jobs only, and one with settings only."""
    enqueue(db, queue="billing")
    cancel(db, enqueue(db, queue="mail"))
    db.execute("insert into pgqueue.queue (name) values ('audit')")

    stats = rows(db, "select queue, ready, cancelled from pgqueue.queue_stats order by queue")

    assert stats == [("audit", 0, 0), ("billing", 1, 0), ("mail", 0, 1)]


def test_the_age_is_that_of_the_ready_job_that_is_due_for_longest(db):
    """What to be alarmed by: a backlog may be long and quick. Running and scheduled jobs don't count."""
    enqueue(db, run_at="2001-01-01 00:00+00")
    claim(db)
    enqueue(db, delay="1 hour")
    assert row(db, "select oldest_ready_age as age from pgqueue.queue_stats").age is None

    for ago in ("1 hour", "1 minute"):
        enqueue(db, run_at=value(db, "select clock_timestamp() - %s::interval", [ago]))

    age = row(db, "select oldest_ready_age as age from pgqueue.queue_stats").age
    assert timedelta(hours=1) <= age < timedelta(hours=2)
