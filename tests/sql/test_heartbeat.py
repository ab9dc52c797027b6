"""heartbeat: a sign of life, refused once it comes too late."""

import psycopg
import pytest

from tests.sql.verbs import dead_worker, heartbeat, register, rescue, row, silent_for, value

pytestmark = pytest.mark.integration


def test_a_beat_says_that_it_lives_and_what_it_does(db, sessions):
    """The workers view shows it."""
    (steward,) = sessions(1)
    worker = register(steward)
    silent_for(db, worker, "1 hour")

    heartbeat(steward, worker, running=7, stopping=True)

    beat = row(db, "select running, stopping, clock_timestamp() - heartbeat_at < '1 min' as fresh from pgqueue.worker")
    assert beat == (7, True, True)


def test_a_beat_is_a_hot_update(db, sessions):
    """One every second, for ever, from every worker."""
    (steward,) = sessions(1)
    worker = register(steward)

    with db.transaction():
        heartbeat(db, worker)
        written = row(
            db,
            """select n_tup_upd as updates, n_tup_hot_upd as hot
               from pg_stat_xact_user_tables where relid = 'pgqueue.worker'::regclass""",
        )

    assert (written.updates, written.hot) == (1, 1)


def test_a_beat_does_not_wait_for_the_disk(db, sessions):
    """A lost one is followed by another, and a slow disk must not look like death."""
    (steward,) = sessions(1)
    worker = register(steward)

    with steward.transaction():
        heartbeat(steward, worker)
        assert value(steward, "select current_setting('synchronous_commit')") == "off"


def test_a_worker_that_was_declared_dead_is_told(db, sessions):
    """It was frozen: whatever it holds was given to others."""
    worker = dead_worker(sessions)
    rescue(db)

    with pytest.raises(psycopg.Error, match="declared dead") as refused:
        heartbeat(db, worker)

    assert refused.value.sqlstate == "PQ005"


def test_a_beat_of_nobody_is_refused(db):
    """Its row was removed a day after it ended."""
    with pytest.raises(psycopg.Error) as refused:
        heartbeat(db, 4711)

    assert refused.value.sqlstate == "PQ005"
