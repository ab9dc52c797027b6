"""at_work: is a server that does not answer slow, or is the connection dead?"""

import threading

import psycopg
import pytest

from tests.sql.verbs import row, value

pytestmark = pytest.mark.integration


def session(conn: psycopg.Connection) -> tuple[int, object]:
    """Process id and start of a server session."""
    return tuple(row(conn, "select pid, backend_start from pg_stat_activity where pid = pg_backend_pid()"))


def at_work(db: psycopg.Connection, of: tuple[int, object]) -> bool | None:
    return value(db, "select pgqueue.at_work(%s, %s)", of)


def test_a_session_that_waits_for_its_client_is_not_at_work(db, sessions):
    """It has answered; whoever waits for more waits in vain."""
    (other,) = sessions(1)

    assert at_work(db, session(other)) is False


def test_a_session_that_waits_for_a_lock_is_at_work(db, sessions):
    """A slow answer is no dead connection."""
    holder, waiter = sessions(2)
    holder.execute("select pg_advisory_lock(1)")
    who = session(waiter)
    waiting = threading.Thread(target=waiter.execute, args=["select pg_advisory_lock(1)"])
    waiting.start()
    try:
        while not value(db, "select count(*) from pg_locks where pid = %s and not granted", [who[0]]):
            pass
        assert at_work(db, who) is True
    finally:
        holder.execute("select pg_advisory_unlock(1)")
        waiting.join()


def test_a_session_that_is_gone_is_not_at_work(db, sessions):
    """Nor is another one under the same process id."""
    (other,) = sessions(1)
    pid, started = session(other)

    assert value(db, "select pgqueue.at_work(%s, %s::timestamptz - interval '1 s')", [pid, started]) is False
    assert at_work(db, (2_000_000_000, started)) is False


def test_a_server_that_does_not_tell_says_so(db, sessions):
    """Neither yes nor no: the worker must judge by time alone."""
    (other,) = sessions(1)
    other.execute("set track_activities = off")

    assert at_work(db, session(other)) is None
