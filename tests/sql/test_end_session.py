"""end_session: what a lost session of a worker's still does is over before the worker goes on."""

import psycopg
import pytest

from tests.sql.test_at_work import session
from tests.sql.verbs import value

pytestmark = pytest.mark.integration


def end_session(db: psycopg.Connection, of: tuple[int, object]) -> bool:
    return value(db, "select pgqueue.end_session(%s, %s)", of)


def test_a_session_is_asked_to_end_until_it_is_over(db, sessions):
    """Its open transaction rolls back and its locks are free."""
    (lost,) = sessions(1)
    lost.execute("select pg_advisory_lock(7)")
    who = session(lost)

    assert end_session(db, who) is False
    while not end_session(db, who):
        pass

    assert value(db, "select pg_try_advisory_lock(7)")
    with pytest.raises(psycopg.OperationalError):
        lost.execute("select 1")


def test_another_session_under_the_same_process_id_is_left_alone(db, sessions):
    """Process ids are used again."""
    (other,) = sessions(1)
    pid, started = session(other)

    assert value(db, "select pgqueue.end_session(%s, %s::timestamptz - interval '1 s')", [pid, started])
    assert other.execute("select 1").fetchone() == (1,)


def test_a_session_of_a_role_that_is_not_ours_is_left_alone(db, sessions):
    """No error either: who may not end it waits until it is over."""
    (other,) = sessions(1)
    who = session(other)
    with db.transaction(force_rollback=True):
        db.execute("create role stranger")
        db.execute("grant usage on schema pgqueue to stranger")
        db.execute("set local role stranger")
        end_session(db, who)

    assert other.execute("select 1").fetchone() == (1,)
