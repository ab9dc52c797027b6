"""register, attach, leave: a worker comes, comes back after a lost connection, and goes."""

import psycopg
import pytest

from tests.sql.verbs import claimed, job, live, register, rescue, row, silent_for, value

pytestmark = pytest.mark.integration


def attach(conn, worker):
    return value(conn, "select pgqueue.attach(%s)", [worker])


def leave(conn, worker):
    conn.execute("select pgqueue.leave(%s)", [worker])


def alive(db, worker):
    """Whether some session holds the worker's lock."""
    return value(
        db,
        """select count(*) from pg_locks l join pg_database d on d.oid = l.database
           where d.datname = current_database() and l.classid = 1885827331 and l.objid = %s""",
        [worker],
    )


def test_a_registered_worker_is_known_and_holds_its_lock(db, sessions):
    """The row is for people, the lock for rescue."""
    (steward,) = sessions(1)

    worker = register(steward, "web-1:77")

    known = row(db, "select * from pgqueue.worker where id = %s", [worker])
    assert (known.name, known.host, known.pid, known.version) == ("web-1:77", "host", 1, "0.1")
    assert (known.queues, known.running, known.stopping) == ({"default": 5}, 0, False)
    assert (known.stopped_at, known.died_at, known.swept_at) == (None, None, None)
    assert alive(db, worker) == 1


def test_every_life_has_an_id_of_its_own(sessions):
    """What an earlier life of the same process still reports must not fit the new one."""
    (steward,) = sessions(1)

    assert register(steward, "web-1:77") != register(steward, "web-1:77")


def test_the_lock_goes_with_the_session(db, sessions):
    """The server notices a dead process at once, however it died."""
    (steward,) = sessions(1)
    worker = register(steward)

    db.execute("select pg_terminate_backend(%s, 30000)", [steward.info.backend_pid])

    assert alive(db, worker) == 0


def test_a_steward_whose_session_was_lost_takes_its_lock_again(db, sessions):
    """The process is alive; its next silence shall be noticed at once again."""
    first, second = sessions(2)
    worker = register(first)
    db.execute("select pg_terminate_backend(%s, 30000)", [first.info.backend_pid])

    assert attach(second, worker) is True
    assert alive(db, worker) == 1


def test_attach_says_no_while_the_server_still_holds_the_old_session(sessions):
    """It never waits: the steward has to beat meanwhile."""
    first, second = sessions(2)
    worker = register(first)

    assert attach(second, worker) is False


@pytest.mark.parametrize("fate", ["died_at", "stopped_at"])
def test_a_worker_that_is_no_more_cannot_attach(db, sessions, fate):
    """It registers again, under a new id."""
    (steward,) = sessions(1)
    worker = register(steward)
    db.execute(f"update pgqueue.worker set {fate} = now() where id = %s", [worker])

    with pytest.raises(psycopg.Error) as refused:
        attach(steward, worker)

    assert refused.value.sqlstate == "PQ005"


def test_leaving_gives_back_what_was_still_held_uncounted(db, sessions):
    """A shutdown in order costs no attempt."""
    (steward,) = sessions(1)
    worker = register(steward)
    held = claimed(db, worker)

    leave(steward, worker)

    assert (job(db, held.id).state, live(db, held.id).attempt) == ("ready", 0)
    left = row(db, "select * from pgqueue.worker where id = %s", [worker])
    assert left.stopped_at is not None
    assert (left.died_at, left.running) == (None, 0)
    assert alive(db, worker) == 0


def test_leaving_by_another_session_leaves_the_lock_to_its_holder(db, sessions):
    """After a reconnect that found the lock taken; and no warning about a lock it does not own."""
    steward, other = sessions(2)
    worker = register(steward)
    warnings: list[str] = []
    other.add_notice_handler(lambda notice: warnings.append(notice.message_primary))

    leave(other, worker)

    assert warnings == []
    assert alive(db, worker) == 1


def test_a_worker_that_left_does_not_die_as_well(db, sessions):
    """It is long gone when its beats have become old."""
    (steward,) = sessions(1)
    worker = register(steward)
    leave(steward, worker)
    silent_for(db, worker, "1 hour")

    assert rescue(db) == {}
    assert value(db, "select died_at from pgqueue.worker") is None


def test_a_dead_worker_that_leaves_stays_dead(db, sessions):
    """The story on record is the true one."""
    (steward,) = sessions(1)
    worker = register(steward)
    db.execute("update pgqueue.worker set died_at = now() where id = %s", [worker])

    leave(steward, worker)

    assert value(db, "select stopped_at from pgqueue.worker") is None
