"""rescue: who is dead, and what becomes of its jobs."""

from datetime import timedelta

import psycopg
import pytest

from tests.sql.verbs import (
    claim,
    claimed,
    dead_worker,
    enqueue,
    enqueue_many,
    heartbeat,
    ids,
    job,
    live,
    register,
    rescue,
    row,
    silent_for,
    state,
    value,
    values,
)

pytestmark = pytest.mark.integration


@pytest.mark.parametrize("silence", ["0 s", "3 s", "119 s"])
def test_a_worker_whose_lock_is_held_lives(db, sessions, silence):
    """A beat may be late: the machine is overloaded, the process swapped out, a handler in an extension module holds
    Python's lock. The lock says that it is there."""
    (steward,) = sessions(1)
    worker = register(steward)
    held = claimed(db, worker)
    silent_for(db, worker, silence)

    assert rescue(db) == {}
    assert state(db, held.id) == "running"


def test_a_worker_whose_lock_is_free_but_beats_lives(db, sessions):
    """Its session was lost and it reconnects: a moment without the lock is no death."""
    worker = dead_worker(sessions)
    silent_for(db, worker, "0.5 s")

    assert rescue(db) == {}


def test_a_worker_whose_lock_is_free_and_who_is_silent_is_dead(db, sessions):
    """The process was killed: its jobs start again elsewhere within seconds."""
    worker = dead_worker(sessions)
    held = claimed(db, worker)
    silent_for(db, worker, "2 s")

    assert values(db, "select worker from pgqueue.rescue(p_grace => '0 s')") == [worker]
    assert state(db, held.id) == "ready"
    assert value(db, "select died_at from pgqueue.worker") is not None


def test_a_worker_behind_a_pooler_is_known_by_its_beats_alone(db):
    """It holds no lock: a late beat must not look like death."""
    query = "select pgqueue.register('host:1', 'host', 1, '0.1', '{}', p_direct => false)"
    worker = value(db, query)
    assert value(db, "select count(*) from pg_locks where pid = pg_backend_pid() and locktype = 'advisory'") == 0
    silent_for(db, worker, "29 s")
    assert rescue(db) == {}

    silent_for(db, worker, "31 s")

    assert rescue(db) == {worker: 0}


def test_a_worker_that_is_silent_for_too_long_is_dead_though_its_lock_looks_held(db, sessions):
    """A frozen process; a machine that is gone behind a proxy that does not know."""
    (steward,) = sessions(1)
    worker = register(steward)
    held = claimed(db, worker)
    silent_for(db, worker, "121 s")

    assert rescue(db) == {worker: 1}
    assert state(db, held.id) == "ready"


def test_who_has_not_beaten_since_the_server_started_is_given_time_to(db, sessions):
    """The server was away for a minute: the first worker to come back must not take the jobs of all others."""
    worker = dead_worker(sessions)
    held = claimed(db, worker)
    db.execute(
        """update pgqueue.worker set heartbeat_at =
               pg_postmaster_start_time() - (clock_timestamp() - pg_postmaster_start_time()) - interval '1 minute'"""
    )

    assert rescue(db, grace="1 year") == {}
    assert state(db, held.id) == "running"
    heartbeat(db, worker)
    silent_for(db, worker, "0 seconds")
    assert rescue(db, silence="0 seconds", grace="1 year") == {worker: 1}


def test_after_a_short_restart_the_time_to_come_back_is_short(db, sessions):
    """Who was killed during a restart of a second is not waited for as after an outage of an hour."""
    worker = dead_worker(sessions)
    db.execute("update pgqueue.worker set heartbeat_at = pg_postmaster_start_time() - interval '0.1 seconds'")
    up = value(db, "select extract(epoch from clock_timestamp() - pg_postmaster_start_time())")
    while up < 4:
        up = value(db, "select extract(epoch from clock_timestamp() - pg_postmaster_start_time())")

    assert rescue(db, grace="1 year") == {worker: 0}


def test_a_leader_whose_own_beat_is_late_does_not_declare_itself_dead(db, sessions):
    """Its lock is its own, so trying for it succeeds: that must not count as free."""
    (steward,) = sessions(1)
    worker = register(steward)
    held = claimed(db, worker)
    silent_for(db, worker, "10 s")

    assert rescue(steward) == {}
    assert state(db, held.id) == "running"
    heartbeat(steward, worker)


def test_the_dead_are_found_once(db, sessions):
    """A leader's tick comes every second."""
    worker = dead_worker(sessions)

    assert rescue(db) == {worker: 0}
    assert rescue(db) == {}


def test_the_attempt_that_died_is_on_record(db, sessions):
    """A crash is an attempt, with its own error text."""
    worker = dead_worker(sessions, "web-1:77")
    held = claimed(db, worker)

    rescue(db)

    noted = row(db, "select * from pgqueue.attempt")
    assert (noted.job, noted.claims, noted.attempt, noted.worker, noted.traceback) == (held.id, 1, 1, worker, None)
    assert noted.error == f"WorkerDied: worker {worker} (web-1:77) died while it ran this job"
    assert job(db, held.id).attempt == 1


def test_after_its_first_attempt_a_job_is_ready_at_once(db, sessions):
    """Most crashes are deployments and machines, not the job's doing."""
    held = claimed(db, dead_worker(sessions))

    rescue(db)

    assert ids(claim(db)) == [held.id]


@pytest.mark.parametrize(("attempt", "pause"), [(2, 1), (3, 2), (6, 16), (14, 3600), (2000, 3600), (32000, 3600)])
def test_after_later_attempts_it_pauses_ever_longer(db, sessions, attempt, pause):
    """It may be the job that kills its workers. The pause has an end, and so has the arithmetic."""
    worker = dead_worker(sessions)
    id = enqueue(db, max_attempts=32767)
    db.execute("update pgqueue.job set attempt = %s", [attempt - 1])
    claim(db, worker)

    rescue(db)

    assert state(db, id) == "scheduled"
    pauses = live(db, id).run_at - value(db, "select finished_at from pgqueue.attempt")
    assert timedelta(seconds=pause / 2) <= pauses <= timedelta(seconds=pause)


def test_jobs_that_died_together_do_not_come_back_together(db, sessions):
    """One of them may have killed the worker: with the same pauses it would take the others along at each attempt."""
    worker = dead_worker(sessions)
    enqueue_many(db, [{"kind": "noop"} for _ in range(20)])
    db.execute("update pgqueue.job set attempt = 5")
    claim(db, worker, 20)

    rescue(db)

    assert value(db, "select count(distinct run_at) from pgqueue.job") == 20
    assert value(db, "select max(run_at) - min(run_at) from pgqueue.job") > timedelta(seconds=2)


def test_a_job_that_kills_its_workers_ends_as_failed(db, sessions):
    """And stops killing."""
    id = enqueue(db, max_attempts=2)
    for _ in range(2):
        worker = dead_worker(sessions)
        assert ids(claim(db, worker)) == [id]
        rescue(db)

    assert state(db, id) == "failed"
    assert job(db, id).error.startswith("WorkerDied: ")
    assert value(db, "select count(*) from pgqueue.attempt") == 2


def test_many_dead_workers_are_dealt_with_at_once(db, sessions):
    """A machine takes all its workers along. The living and their jobs stay as they are."""
    (steward,) = sessions(1)
    living = register(steward)
    dead = [dead_worker(sessions) for _ in range(3)]
    enqueue_many(db, [{"kind": "noop"}] * 8)
    kept = claim(db, living, 2)
    for count, worker in enumerate(dead, start=1):
        claim(db, worker, count)

    assert rescue(db) == {dead[0]: 1, dead[1]: 2, dead[2]: 3}
    assert [state(db, id) for id in ids(kept)] == ["running"] * 2
    assert value(db, "select count(*) from pgqueue.jobs where state = 'ready'") == 6


@pytest.mark.parametrize("fate", ["died", "left"])
def test_a_claim_that_commits_after_the_end_is_found_by_a_later_look(db, sessions, fate):
    """The claim had asked whether its worker lives, and was told yes, a moment before. The worker never heard of it."""
    (steward,) = sessions(1)
    worker = register(steward)
    if fate == "died":
        silent_for(db, worker, "121 s")
        assert rescue(db) == {worker: 0}
    else:
        steward.execute("select pgqueue.leave(%s)", [worker])
    straggler = claimed(db, worker)

    assert rescue(db) == {}
    db.execute(
        """update pgqueue.worker
           set died_at = died_at - interval '31 s', stopped_at = stopped_at - interval '31 s'"""
    )

    assert rescue(db) == {worker: 1}
    assert state(db, straggler.id) == "ready"
    assert value(db, "select swept_at from pgqueue.worker") is not None
    assert live(db, straggler.id).attempt == (1 if fate == "died" else 0)


def test_the_later_look_is_the_last(db, sessions):
    """Each look reads all live jobs."""
    worker = dead_worker(sessions)
    rescue(db)
    db.execute("update pgqueue.worker set died_at = died_at - interval '31 s'")

    assert rescue(db) == {}
    swept_at = value(db, "select swept_at from pgqueue.worker where id = %s", [worker])
    assert swept_at is not None
    rescue(db)
    assert value(db, "select swept_at from pgqueue.worker where id = %s", [worker]) == swept_at


def test_the_arguments_say_how_long_is_too_long(db, sessions):
    """For tests and for people with other networks."""
    (steward,) = sessions(1)
    worker = register(steward)
    silent_for(db, worker, "5 s")

    assert rescue(db, silence="1 s", patience="3 s") == {}
    assert rescue(db, silence="1 s", patience="1 s") == {worker: 0}


def test_the_session_of_a_worker_that_was_given_up_is_ended(db, sessions):
    """It froze, or its machine vanished without a word: as the leader it would keep the lead for hours."""
    (frozen,) = sessions(1)
    worker = register(frozen)
    assert value(frozen, "select pgqueue.lead()")
    silent_for(db, worker, "3 min")

    assert rescue(db) == {worker: 0}

    with pytest.raises(psycopg.OperationalError):
        frozen.execute("select pg_sleep(20)")
    assert value(db, "select pgqueue.lead()")


def test_a_leader_that_was_frozen_does_not_end_its_own_session(db, sessions):
    """It wakes up in the middle of its duties; its next beat tells it what happened."""
    (frozen,) = sessions(1)
    worker = register(frozen)
    silent_for(frozen, worker, "3 min")

    assert rescue(frozen) == {worker: 0}

    assert value(frozen, "select died_at is not null from pgqueue.worker") is True
