"""asleep, forget_sleepers: the bits of queues that nobody sleeps in any more are cleared, and no others."""

import pytest

from tests.sql.bells import forget, listener, marked, neighbours, park, unpark
from tests.sql.verbs import value

pytestmark = pytest.mark.integration


def test_at_first_nothing_is_known(db):
    """Workers may sleep since before there were bits, or a crash has taken them: producers must ask."""
    assert marked(db) is None

    forget(db)

    assert marked(db) is False


def test_the_bit_of_a_sleeper_stays(db, sessions):
    """However often somebody clears up."""
    listener(sessions, parked="default")
    forget(db)
    forget(db)

    assert marked(db) is True


def test_each_queue_has_its_bit_also_the_one_of_the_sign(db, sessions):
    """64 of them in one number: those of the highest must not get lost in it."""
    queues = value(
        db,
        """select array_agg(q.name) from (
               select distinct on (hashtext('q' || n) & 63) 'q' || n as name from generate_series(1, 2000) n
           ) q""",
    )
    sleeper = listener(sessions)
    assert len(queues) == 64
    forget(db)
    for queue in queues:
        assert not marked(db, queue)
        park(sleeper, queue)
        assert marked(db, queue)
    assert value(db, "select pg_sequence_last_value('pgqueue.sleepers')") == -1

    for queue in queues:
        unpark(sleeper, queue)
        forget(db)
        assert not marked(db, queue)
    assert value(db, "select pg_sequence_last_value('pgqueue.sleepers')") == 0


def test_the_bit_of_a_sleeper_that_died_is_cleared(db, sessions):
    """Else it would stay set for ever, and all producers of the queue would try a lock that nobody holds."""
    sleeper = listener(sessions, parked="default")
    db.execute("select pg_terminate_backend(%s, 30000)", [sleeper.info.backend_pid])
    forget(db)

    assert marked(db) is False


def test_a_bit_is_cleared_when_the_last_queue_that_shares_it_is_awake(db, sessions):
    """Not when the first is."""
    one, other = neighbours(db)
    sleeper = listener(sessions, parked=one)
    park(sleeper, other)

    unpark(sleeper, one)
    forget(db)
    assert marked(db, one)

    unpark(sleeper, other)
    forget(db)
    assert not marked(db, one)


def test_a_producer_that_asks_at_that_moment_is_no_sleeper(db, sessions):
    """It holds the same lock for an instant, but not to share it."""
    (producer,) = sessions(1)
    producer.execute("select pg_try_advisory_lock(1885827330, hashtext('default'))")

    assert value(db, "select pgqueue.asleep()") == 0


def test_another_databases_sleepers_are_not_ours(db, elsewhere):
    """Locks are listed for the whole server."""
    assert park(elsewhere)

    assert value(db, "select pgqueue.asleep()") == 0
    assert value(elsewhere, "select pgqueue.asleep()") != 0
