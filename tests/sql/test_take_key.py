"""take_key: the same answers at every isolation level, also for what an old snapshot cannot see."""

import psycopg
import pytest

from tests.sql.keys import LEVELS, find, pass_expiry, running, unique
from tests.sql.verbs import A, cancel, enqueue, fail, finish, live, retry, value, values

pytestmark = pytest.mark.integration

CONFLICTS = ["keep", "replace", "debounce", "debounce_replace", "latest"]
SNAPSHOTS = ["repeatable read", "serializable"]


def old_snapshot(conn: psycopg.Connection, level: str) -> None:
    """Begin a transaction that has seen the queue as it is now."""
    conn.execute(f"begin isolation level {level}")
    conn.execute("select count(*) from pgqueue.job")


@pytest.mark.parametrize("conflict", CONFLICTS)
@pytest.mark.parametrize("level", LEVELS)
def test_a_key_taken_after_the_snapshot_is_no_error_and_its_holder_is_named(db, sessions, level, conflict):
    """Postgres would abort the transaction, or at best not tell who is there."""
    (other,) = sessions(1)
    old_snapshot(db, level)
    there = unique(other)

    again = unique(db, on_conflict=conflict)
    db.execute("create table still_working ()")
    db.execute("commit")

    assert again == (there.id, False)
    assert values(db, "select id from pgqueue.job") == [there.id]


@pytest.mark.parametrize("id", [1, 67_108_863, 67_108_864, 123_456_789_012, 7_000_000_000_000_000])
def test_the_holder_is_named_whatever_its_number(db, sessions, id):
    """It travels as a length of time, in a message of Postgres."""
    (other,) = sessions(1)
    db.execute(f"alter table pgqueue.job alter id restart with {id}")
    old_snapshot(db, "repeatable read")
    there = unique(other, "a, b) = (c, '1 day'")

    assert unique(db, "a, b) = (c, '1 day'") == (there.id, False)
    assert there.id == id
    db.execute("rollback")


@pytest.mark.parametrize("style", ["postgres", "postgres_verbose", "sql_standard", "iso_8601"])
def test_the_holder_is_named_however_the_session_writes_intervals(db, sessions, style):
    """The application's settings are its own."""
    (other,) = sessions(1)
    db.execute(f"set intervalstyle = {style}")
    old_snapshot(db, "repeatable read")
    there = unique(other)

    assert unique(db) == (there.id, False)
    db.execute("rollback")


@pytest.mark.parametrize("level", LEVELS)
def test_a_job_that_finished_after_the_snapshot_holds_nothing(db, sessions, level):
    """It cannot have seen what this transaction wrote; to keep it would be to lose the job."""
    (other,) = sessions(1)
    first = unique(other)
    taken = running(other)
    old_snapshot(db, level)
    finish(other, A, [taken])

    again = unique(db)
    db.execute("commit")

    assert again.created
    assert again.id != first.id
    assert find(db) == again.id


@pytest.mark.parametrize("conflict", CONFLICTS)
@pytest.mark.parametrize("level", LEVELS)
def test_a_job_that_was_claimed_after_the_snapshot_is_running(db, sessions, level, conflict):
    """It still holds a key until it is finished, and its arguments can no longer be changed."""
    (other,) = sessions(1)
    first = unique(other, args={"n": 1})
    old_snapshot(db, level)
    running(other)

    again = unique(db, args={"n": 2}, on_conflict=conflict)
    db.execute("commit")

    assert again.created is (conflict == "latest")
    assert live(db, first.id).args == {"n": 1}


@pytest.mark.parametrize("conflict", ["keep", "replace", "debounce"])
@pytest.mark.parametrize("level", LEVELS)
def test_a_job_that_was_claimed_after_the_snapshot_has_started(db, sessions, level, conflict):
    """So a key until started is free: another one follows, which sees what this transaction wrote."""
    (other,) = sessions(1)
    unique(other, unique_until="started")
    old_snapshot(db, level)
    running(other)

    again = unique(db, unique_until="started", on_conflict=conflict)
    db.execute("commit")

    assert again.created
    assert unique(db, unique_until="started") == (again.id, False)


@pytest.mark.parametrize("level", SNAPSHOTS)
def test_of_two_that_replace_the_older_snapshot_gives_way(db, sessions, level):
    """As if it had come first: the other's arguments are the latest, and there is still one job."""
    (other,) = sessions(1)
    first = unique(other, args={"n": 1}, unique_until="started")
    old_snapshot(db, level)
    unique(other, args={"n": 2}, unique_until="started", on_conflict="replace")

    again = unique(db, args={"n": 3}, unique_until="started", on_conflict="replace")
    db.execute("commit")

    assert again == (first.id, False)
    assert live(db, first.id).args == {"n": 2}
    assert value(db, "select count(*) from pgqueue.job") == 1


@pytest.mark.parametrize("level", LEVELS)
def test_a_job_that_was_retried_after_the_snapshot_holds_its_key_again(db, sessions, level):
    """It is back, whether the snapshot sees it or not."""
    (other,) = sessions(1)
    first = unique(other)
    fail(other, A, [running(other)])
    old_snapshot(db, level)
    retry(other, first.id)

    assert unique(db) == (first.id, False)
    db.execute("commit")


@pytest.mark.parametrize("level", LEVELS)
def test_a_key_that_was_taken_over_after_the_snapshot_has_its_new_holder(db, sessions, level):
    """The snapshot shows one that is long done."""
    (other,) = sessions(1)
    cancel(other, unique(other).id)
    old_snapshot(db, level)
    there = unique(other)

    assert unique(db) == (there.id, False)
    db.execute("commit")


@pytest.mark.parametrize("level", LEVELS)
def test_an_expired_holder_is_none_at_any_level(db, level):
    """Waiting, by its row; but not for anything."""
    unique(db, expires_in="1 hour")
    pass_expiry(db)
    old_snapshot(db, level)

    assert unique(db).created
    db.execute("commit")


@pytest.mark.parametrize("level", LEVELS)
def test_a_duplicate_within_one_transaction_is_found(db, level):
    """What a transaction wrote itself it sees at every level."""
    old_snapshot(db, level)
    enqueue(db)
    first = unique(db, args={"n": 1})

    assert unique(db) == (first.id, False)
    assert unique(db, args={"n": 2}, on_conflict="replace") == (first.id, False)
    db.execute("commit")
    assert live(db, first.id).args == {"n": 2}
