"""The view schedules: what an operator looks at."""

import pytest

from tests.sql.contract import columns
from tests.sql.schedules import due_since, fire, schedule, seen
from tests.sql.verbs import A, claim, finish, register, values

pytestmark = pytest.mark.integration


def test_its_columns_are_a_contract(db):
    """Names, types and order; more may be added at the end."""
    assert columns(db, "schedules") == [
        ("name", "text"),
        ("kind", "text"),
        ("queue", "text"),
        ("cron", "text"),
        ("every", "interval"),
        ("tz", "text"),
        ("state", "text"),
        ("source", "text"),
        ("in_code", "boolean"),
        ("next_run_at", "timestamp with time zone"),
        ("last_due_at", "timestamp with time zone"),
        ("last_run_at", "timestamp with time zone"),
        ("drift", "interval"),
        ("last_job", "bigint"),
        ("last_state", "text"),
        ("last_error", "text"),
        ("runs", "bigint"),
        ("skipped", "bigint"),
        ("missed", "integer"),
        ("overlap", "text"),
        ("args", "jsonb"),
        ("options", "jsonb"),
        ("start_at", "timestamp with time zone"),
        ("end_at", "timestamp with time zone"),
        ("max_runs", "integer"),
        ("jitter", "interval"),
        ("paused_at", "timestamp with time zone"),
        ("error", "text"),
        ("owner", "text"),
        ("created_at", "timestamp with time zone"),
        ("changed_at", "timestamp with time zone"),
    ]


def test_it_tells_the_outcome_of_the_last_run(db):
    """Also when its job has long left for the archive."""
    schedule(db)
    due_since(db, "3 hours")
    assert (seen(db).last_job, seen(db).last_state) == (None, None)
    fire(db)
    assert seen(db).last_state == "ready"
    (job,) = claim(db, A)
    assert (seen(db).last_job, seen(db).last_state) == (job.id, "running")
    finish(db, A, [job])
    assert seen(db).last_state == "completed"


def test_it_tells_who_fires_them(db, sessions):
    """The first question when none does."""
    schedule(db, "a")
    schedule(db, "b")
    assert values(db, "select owner from pgqueue.schedules") == [None, None]
    other, owner = sessions(2)
    register(other, "host:1")
    register(owner, "host:2")
    owner.execute("select pgqueue.lead()")

    assert values(db, "select owner from pgqueue.schedules") == ["host:2", "host:2"]


def test_it_tells_that_nobody_fires(db):
    """A moment that has been due for longer than any change of owner takes."""
    schedule(db)
    due_since(db, "5 seconds")
    assert seen(db).state == "active"
    due_since(db, "1 minute")
    assert seen(db).state == "late"
