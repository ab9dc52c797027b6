"""The view workers: who works, who is silent, who has gone."""

import pytest

from tests.sql.contract import columns
from tests.sql.verbs import dead_worker, heartbeat, register, rescue, row, silent_for, value

pytestmark = pytest.mark.integration


def test_its_columns_are_a_contract(db):
    """Monitoring reads them."""
    assert columns(db, "workers")[:11] == [
        ("id", "bigint"),
        ("name", "text"),
        ("host", "text"),
        ("pid", "integer"),
        ("version", "text"),
        ("queues", "jsonb"),
        ("state", "text"),
        ("running", "integer"),
        ("started_at", "timestamp with time zone"),
        ("heartbeat_at", "timestamp with time zone"),
        ("ended_at", "timestamp with time zone"),
    ]


def state(db, worker):
    return value(db, "select state from pgqueue.workers where id = %s", [worker])


def test_a_worker_is_shown_through_its_life(db, sessions):
    """In the order in which things happen to it."""
    (steward,) = sessions(1)
    worker = register(steward, "web-1:77")
    assert state(db, worker) == "running"

    silent_for(db, worker, "11 s")
    assert state(db, worker) == "silent"

    heartbeat(steward, worker, 2)
    assert state(db, worker) == "running"

    heartbeat(steward, worker, 1, stopping=True)
    assert state(db, worker) == "stopping"
    shown = row(db, "select * from pgqueue.workers")
    assert (shown.name, shown.running, shown.queues, shown.ended_at) == ("web-1:77", 1, {"default": 5}, None)

    steward.execute("select pgqueue.leave(%s)", [worker])
    assert state(db, worker) == "stopped"
    assert value(db, "select ended_at is not null from pgqueue.workers") is True


def test_one_that_was_declared_dead_is_shown_so(db, sessions):
    """For a day, to see what happened."""
    worker = dead_worker(sessions)
    rescue(db)

    shown = row(db, "select state, running, ended_at is not null as ended from pgqueue.workers where id = %s", [worker])
    assert shown == ("dead", 0, True)
