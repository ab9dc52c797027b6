"""Who is rung: a sleeping worker's connection, and what it hears."""

import itertools

import psycopg

from tests.sql.verbs import value

_mark = itertools.count()


def park(sleeper: psycopg.Connection, queue: str = "default") -> bool:
    """First step of going to sleep; whether it may."""
    sleeper.execute("listen pgqueue")
    return value(sleeper, "select pgqueue.park(%s)", [queue])


def settled(sleeper: psycopg.Connection, queue: str = "default") -> bool:
    return value(sleeper, "select pgqueue.settled(%s)", [queue])


def unpark(sleeper: psycopg.Connection, queue: str = "default") -> None:
    sleeper.execute("select pgqueue.unpark(%s)", [queue])


def listener(sessions, *, parked: str | None = None) -> psycopg.Connection:
    """A new session that listens, and sleeps in queue `parked` if given."""
    (connection,) = sessions(1)
    connection.execute("listen pgqueue")
    if parked:
        assert park(connection, parked)
    return connection


def heard(sleeper: psycopg.Connection, db: psycopg.Connection) -> list[str]:
    """What rang since the last look.

    Notifications come in the order of commits, so one of our own at the end tells that nothing is still on its way.
    """
    end = f"end of {next(_mark)}"
    db.execute("select pg_notify('pgqueue', %s)", [end])
    payloads = []
    for notification in sleeper.notifies(timeout=30):
        if notification.payload == end:
            return payloads
        if not notification.payload.startswith("end of "):  # of another session's look
            payloads.append(notification.payload)
    raise AssertionError(f"the connection does not listen; it heard {payloads}")


def forget(db: psycopg.Connection) -> None:
    """Clear the bits of queues that nobody sleeps in, as the leader does."""
    db.execute("select pgqueue.forget_sleepers()")


def marked(db: psycopg.Connection, queue: str = "default") -> bool | None:
    """Whether the queue's bit says that somebody may sleep; None: no bit says anything yet."""
    query = "select pg_sequence_last_value('pgqueue.sleepers') & (1::bigint << (hashtext(%s) & 63)) <> 0"
    return value(db, query, [queue])


def neighbours(db: psycopg.Connection) -> tuple[str, str]:
    """Two queues that share a bit, and no lock."""
    query = """select array_agg('q' || n order by n) from generate_series(1, 1000) n
               group by hashtext('q' || n) & 63 having count(*) > 1 order by 1 limit 1"""
    first, second, *_ = value(db, query)
    return first, second
