"""park, settled, unpark: the steps of going to sleep and waking up."""

import psycopg
import pytest

from tests.sql.bells import forget, marked, park, settled, unpark
from tests.sql.verbs import enqueue, values

pytestmark = pytest.mark.integration


def held(db, connection):
    return values(
        db,
        "select classid::bigint from pg_locks where pid = %s and locktype = 'advisory' order by 1",
        [connection.info.backend_pid],
    )


def test_a_quiet_queue_is_settled_at_once(db, sessions):
    """An idle worker goes to sleep after one more look."""
    (sleeper,) = sessions(1)

    assert park(sleeper) is True
    assert settled(sleeper) is True


def test_of_its_locks_only_parked_stays(db, sessions):
    """With the other one nobody else could go to sleep."""
    (sleeper,) = sessions(1)
    park(sleeper)
    assert held(db, sleeper) == [1885827330]

    settled(sleeper)
    assert held(db, sleeper) == [1885827330]

    unpark(sleeper)
    assert held(db, sleeper) == []


def test_who_parks_sets_the_bit_of_its_queue(db, sessions):
    """And leaves it: others may need it."""
    (sleeper,) = sessions(1)
    forget(db)

    park(sleeper)
    assert marked(db) is True

    unpark(sleeper)
    assert marked(db) is True


def test_in_a_transaction_that_has_written_nobody_can_park(db, sessions):
    """Its number is older than the bit, so it would go to sleep while a producer that missed it is under way."""
    (sleeper,) = sessions(1)
    sleeper.autocommit = False
    enqueue(sleeper)

    with pytest.raises(psycopg.errors.ActiveSqlTransaction, match="outside of a transaction"):
        sleeper.execute("select pgqueue.park('default')")

    sleeper.rollback()
    assert held(db, sleeper) == []


def test_who_has_not_parked_is_settled_when_nobody_writes_jobs(db, sessions):
    """So goes a worker that parked by the functions of an older version, and asks by these."""
    producer, asking = sessions(2)
    assert settled(asking) is True

    with producer.transaction():
        enqueue(producer)
        assert settled(asking) is False


def test_the_rights_on_tables_are_enough_to_enqueue_and_to_park(db, sessions):
    """Neither producers nor workers ever needed to name a sequence."""
    producer, worker = sessions(2)
    roles = [f"{db.info.dbname}_producer", f"{db.info.dbname}_worker"]  # roles are the whole server's
    for session, role in zip((producer, worker), roles, strict=True):
        db.execute(f"create role {role}; grant usage on schema pgqueue to {role}")
        session.execute(f"set role {role}")
    try:
        db.execute(f"grant select, insert on pgqueue.job to {roles[0]}")
        db.execute(f"grant select, insert, update, delete on all tables in schema pgqueue to {roles[1]}")
        forget(db)

        assert park(worker)
        enqueue(producer)
        forget(worker)

        assert [notification.payload for notification in worker.notifies(timeout=30, stop_after=1)] == ["default"]
        assert marked(producer) is True
    finally:
        db.execute(f"drop owned by {', '.join(roles)}; drop role {', '.join(roles)}")


def test_many_workers_park_at_the_same_queue(db, sessions):
    """They share it: none waits for another."""
    sleepers = sessions(3)
    for sleeper in sleepers:
        sleeper.execute("set lock_timeout = 1")

    assert [park(sleeper) for sleeper in sleepers] == [True] * 3
