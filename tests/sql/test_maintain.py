"""maintain: the archive's days ahead, and what retention no longer keeps."""

from datetime import timedelta

import pytest

from tests.sql.archive import archived, kept, make_day, name, partitions, today
from tests.sql.verbs import A, claimed, dead_worker, fail, register, rescue, value, values

pytestmark = pytest.mark.integration


def maintain(db, *days_ahead):
    db.execute(f"select pgqueue.maintain({', '.join(map(str, days_ahead))})")


def test_today_and_the_next_days_are_there(db):
    """A leader may be away for a while."""
    maintain(db)

    days = [today(db) + timedelta(days=ahead) for ahead in range(4)]
    assert partitions(db, "completed") == [name("completed", day) for day in days]
    assert partitions(db, "ended") == [name("ended", day) for day in days]


def test_calling_it_again_changes_nothing(db):
    """Every hour, and by every new leader."""
    maintain(db)
    before = values(db, "select oid from pg_class order by 1")

    maintain(db)

    assert values(db, "select oid from pg_class order by 1") == before


def test_how_far_ahead_can_be_said(db):
    """For who runs it less often."""
    maintain(db, 0)

    assert partitions(db, "completed") == [name("completed", today(db))]


def test_completed_jobs_stay_a_day_and_the_others_a_fortnight(db):
    """Completed ones are many and rarely asked for."""
    for half, days in (("completed", (1, 3)), ("ended", (3, 13, 16))):
        for days_ago in days:
            make_day(db, half, days_ago)
    archived(db, "3 days")
    archived(db, "16 days", "failed")
    stay = [archived(db, "23 hours"), archived(db, "3 days", "cancelled"), archived(db, "13 days", "expired")]

    maintain(db)

    assert kept(db) == stay


def test_workers_that_ended_a_day_ago_are_forgotten(db, sessions):
    """The view names a job's worker for as long; then the list would only grow."""
    (steward,) = sessions(1)
    living, left, long_left = (register(steward) for _ in range(3))
    dead, long_dead = dead_worker(sessions), dead_worker(sessions)
    rescue(db)
    for worker, column, age in (
        (left, "stopped_at", "23 hours"),
        (long_left, "stopped_at", "25 hours"),
        (dead, "swept_at", "23 hours"),
        (long_dead, "swept_at", "25 hours"),
    ):
        db.execute(f"update pgqueue.worker set {column} = now() - %s::interval where id = %s", [age, worker])

    maintain(db)

    assert values(db, "select id from pgqueue.worker order by id") == [living, left, dead]


def test_a_dead_worker_is_not_forgotten_before_its_last_sweep(db, sessions):
    """Its straggling claim would belong to nobody."""
    worker = dead_worker(sessions)
    rescue(db)
    db.execute("update pgqueue.worker set died_at = now() - interval '2 days'")

    maintain(db)

    assert values(db, "select id from pgqueue.worker") == [worker]


def test_attempts_are_forgotten_with_the_longest_that_anything_is_kept(db):
    """A dead letter without its story is of little use."""
    recent, old = claimed(db), claimed(db)
    fail(db, A, [recent])
    fail(db, A, [old])
    db.execute("update pgqueue.attempt set finished_at = now() - interval '15 days' where job = %s", [old.id])

    db.execute("insert into pgqueue.queue (name, keep_ended) values ('audit', '20 days')")
    maintain(db)
    assert values(db, "select job from pgqueue.attempt order by 1") == [recent.id, old.id]

    db.execute("delete from pgqueue.queue")
    maintain(db)
    assert values(db, "select job from pgqueue.attempt") == [recent.id]


def test_attempts_of_a_job_that_still_lives_stay(db):
    """Its next attempt may be due in a month."""
    taken = claimed(db)
    fail(db, A, [taken], retry_in="30 days")
    db.execute("update pgqueue.attempt set finished_at = now() - interval '15 days'")

    maintain(db)

    assert value(db, "select count(*) from pgqueue.attempt") == 1
