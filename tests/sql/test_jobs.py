"""The view jobs: every job, live and finished, and columns that keep their names, types and order."""

import pytest

from tests.sql.contract import columns
from tests.sql.verbs import A, cancel, claim, claimed, enqueue, fail, finish, job, register, retry, state, values

pytestmark = pytest.mark.integration


def test_its_columns_are_a_contract(db):
    """Dashboards and scripts of other people read them. More may come at the end."""
    assert columns(db, "jobs") == [
        ("id", "bigint"),
        ("queue", "text"),
        ("kind", "text"),
        ("state", "text"),
        ("args", "jsonb"),
        ("priority", "smallint"),
        ("attempt", "smallint"),
        ("max_attempts", "smallint"),
        ("run_at", "timestamp with time zone"),
        ("created_at", "timestamp with time zone"),
        ("started_at", "timestamp with time zone"),
        ("finished_at", "timestamp with time zone"),
        ("worker", "text"),
        ("error", "text"),
        ("result", "jsonb"),
        ("timeout", "interval"),
        ("progress", "double precision"),
        ("progress_message", "text"),
        ("expires_at", "timestamp with time zone"),
        ("unique_key", "text"),
    ]


def test_every_state_has_its_name(db):
    """Those of a live job are read off its row; nobody has to keep them true."""
    ids = {
        "running": claimed(db).id,
        "completed": (completed := claimed(db)).id,
        "failed": (failed := claimed(db)).id,
        "cancelled": enqueue(db),
        "scheduled": enqueue(db, delay="1 hour"),
        "ready": enqueue(db),
    }
    finish(db, A, [completed])
    fail(db, A, [failed])
    cancel(db, ids["cancelled"])

    assert {name: state(db, id) for name, id in ids.items()} == {name: name for name in ids}


def test_a_scheduled_job_becomes_ready_by_itself(db):
    """Nobody has to move it."""
    id = enqueue(db, delay="1 hour")

    db.execute("update pgqueue.job set run_at = now() - interval '1 second'")

    assert state(db, id) == "ready"


def test_it_names_the_worker_that_runs_or_ran_a_job(db, sessions):
    """To know in whose log to look."""
    (steward,) = sessions(1)
    worker = register(steward, "web-1:77")
    taken = claimed(db, worker)
    assert job(db, taken.id).worker == "web-1:77"

    finish(db, worker, [taken])
    assert job(db, taken.id).worker == "web-1:77"

    db.execute("delete from pgqueue.worker")
    assert job(db, taken.id).worker is None


def test_it_shows_the_last_error_while_the_job_waits_for_its_next_attempt(db):
    """The reason why it is late."""
    taken = claimed(db)
    fail(db, A, [taken], "ValueError: first", retry_in="0")
    fail(db, A, claim(db), "ValueError: second", retry_in="1 hour")

    assert job(db, taken.id).error == "ValueError: second"


def test_it_shows_how_a_job_expires_and_is_unique_live_and_finished(db):
    """Why it was not enqueued again, or did not start: without looking into tables that are no contract."""
    id = enqueue(db, expires_at="2040-01-01 00:00+00", unique_key="order-7")
    for _ in range(2):
        assert (job(db, id).expires_at.year, job(db, id).unique_key) == (2040, "order-7")
        finish(db, A, claim(db))

    assert state(db, id) == "completed"


def test_a_job_is_seen_once_whatever_became_of_it(db):
    """It moves between two tables, and is never in both or neither."""
    taken = claimed(db)
    for step in (lambda: fail(db, A, [taken]), lambda: retry(db, taken.id), lambda: finish(db, A, claim(db))):
        step()
        assert values(db, "select id from pgqueue.jobs") == [taken.id]
