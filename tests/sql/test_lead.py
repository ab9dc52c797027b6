"""lead: one session leads, and the lead passes on with its death."""

import pytest

from tests.sql.verbs import value, values

pytestmark = pytest.mark.integration


def lead(conn):
    return value(conn, "select pgqueue.lead()")


def test_only_one_session_leads(sessions):
    """Rescue and retention need doing once."""
    first, second = sessions(2)

    assert [lead(first), lead(second), lead(first)] == [True, False, True]


def test_asking_again_takes_the_lock_only_once(db, sessions):
    """It is asked at each tick; locks that pile up would outlive one unlock."""
    (leader,) = sessions(1)
    for _ in range(5):
        lead(leader)

    assert values(leader, "select pg_advisory_unlock(1885827332, 0)") == [True]
    assert lead(db) is True


def test_the_lead_passes_on_when_its_holder_dies(db, sessions):
    """At once: no lease to run out."""
    first, second = sessions(2)
    lead(first)

    db.execute("select pg_terminate_backend(%s, 30000)", [first.info.backend_pid])

    assert lead(second) is True


def test_each_database_has_its_own_leader(db, sessions, dsn):
    """Two applications on one server have two queues."""
    (leader,) = sessions(1)
    assert lead(leader) is True

    held = value(db, "select count(*) from pg_locks where classid = 1885827332 and pid = %s", [leader.info.backend_pid])
    mine = value(
        db,
        """select count(*) from pg_locks l join pg_database d on d.oid = l.database
           where l.classid = 1885827332 and l.pid = %s and d.datname = current_database()""",
        [leader.info.backend_pid],
    )
    assert (held, mine) == (1, 1)
