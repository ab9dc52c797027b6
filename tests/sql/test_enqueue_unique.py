"""enqueue with a key: at most one job for it, and what becomes of the one that is there."""

from datetime import timedelta

import psycopg
import pytest

from tests.sql.bells import heard, listener
from tests.sql.keys import find, pass_expiry, pass_period, running, unique
from tests.sql.verbs import A, cancel, enqueue_many, everything, fail, finish, live, release, rows, state, value

pytestmark = pytest.mark.integration


def test_a_duplicate_returns_the_id_of_the_job_that_is_there(db):
    """And is no error: the caller's transaction goes on."""
    with db.transaction():
        first = unique(db)
        second = unique(db)
        db.execute("create table still_working ()")

    assert (first.created, second.created) == (True, False)
    assert second.id == first.id
    assert value(db, "select count(*) from pgqueue.job") == 1


def test_other_keys_and_no_key_are_not_in_the_way(db):
    """Only what was asked for is unique."""
    made = [unique(db), unique(db, "other"), unique(db, None), unique(db, None)]

    assert all(each.created for each in made)


def test_a_key_is_that_of_its_kind_unless_a_scope_is_given(db):
    """Two kinds may both use invoice numbers; two kinds that must exclude each other share a scope."""
    assert unique(db, kind="charge").created
    assert unique(db, kind="remind").created
    assert unique(db, kind="charge", unique_scope="invoice").created
    assert not unique(db, kind="remind", unique_scope="invoice").created


def test_until_finished_it_is_held_while_the_job_waits_and_runs_and_waits_again(db):
    """Through failed attempts and released claims as well: it is the same job."""
    first = unique(db)
    taken = running(db)
    assert not unique(db).created
    release(db, A, [taken])
    taken = running(db)
    fail(db, A, [taken], retry_in="1 hour")
    assert not unique(db).created

    db.execute("update pgqueue.job set run_at = clock_timestamp()")
    finish(db, A, [running(db)])

    again = unique(db)
    assert again.created
    assert again.id != first.id


@pytest.mark.parametrize("end", ["failed", "cancelled"])
def test_a_job_that_ended_otherwise_holds_no_key_either(db, end):
    """A dead letter must not keep all that come after it out."""
    first = unique(db)
    if end == "failed":
        fail(db, A, [running(db)])
    else:
        cancel(db, first.id)

    assert unique(db).created


def test_until_started_it_is_held_only_while_the_job_waits(db):
    """A change that comes while a job runs may be too late for it: another one follows."""
    first = unique(db, unique_until="started")
    assert unique(db, unique_until="started").id == first.id

    running(db)

    assert unique(db, unique_until="started").created
    assert not unique(db, unique_until="started").created


def test_for_a_period_it_outlives_the_job(db):
    """Once a day means once a day, however fast it was."""
    first = unique(db, unique_for="1 day")
    finish(db, A, [running(db)])

    assert unique(db, unique_for="1 day") == (first.id, False)
    pass_period(db)
    assert unique(db, unique_for="1 day").created


def test_for_a_period_only_it_ends_with_the_period(db):
    """Also when the job still waits: a throttle that a stopped worker would close for ever is none."""
    unique(db, unique_for="1 minute")
    pass_period(db)

    assert unique(db, unique_for="1 minute").created


def test_period_and_until_hold_whichever_is_longer(db):
    """An event handled once a day, and never twice at a time."""
    unique(db, unique_for="1 day", unique_until="finished")
    pass_period(db)
    assert not unique(db, unique_for="1 day", unique_until="finished").created

    finish(db, A, [running(db)])
    assert unique(db, unique_for="1 day", unique_until="finished").created


def test_an_expired_job_holds_no_key(db):
    """It will never run, even if nobody has put it away yet."""
    unique(db, expires_in="1 hour")
    pass_expiry(db)

    assert find(db) is None
    assert unique(db).created


def test_replace_makes_the_waiting_job_what_was_given_but_for_its_place(db):
    """The latest arguments, options and all, without losing its turn."""
    first = unique(db, args={"n": 1}, priority=3)
    before = live(db, first.id)

    given = {"args": {"n": 2}, "priority": 1, "max_attempts": 2, "timeout": "5 s", "meta": {"version": 2}}
    again = unique(db, **given, queue="other", delay="1 hour", expires_in="1 day", on_conflict="replace")

    after = live(db, first.id)
    assert again == (first.id, False)
    assert (after.args, after.priority, after.max_attempts, after.meta) == ({"n": 2}, 1, 2, {"version": 2})
    assert (after.timeout, after.expires_at is not None) == (timedelta(seconds=5), True)
    assert (after.queue, after.run_at, after.created_at) == (before.queue, before.run_at, before.created_at)


@pytest.mark.parametrize("how", ["replace", "debounce", "debounce_replace"])
def test_a_running_job_is_kept_as_it_is(db, how):
    """It has read its arguments."""
    first = unique(db, args={"n": 1})
    running(db)
    before = everything(db)

    assert unique(db, args={"n": 2}, delay="1 hour", on_conflict=how) == (first.id, False)
    assert everything(db) == before


def test_debounce_moves_the_time_and_keeps_the_arguments(db):
    """Again and again: it starts once it has been quiet for so long."""
    first = unique(db, args={"n": 1}, delay="1 minute")

    unique(db, args={"n": 2}, delay="1 hour", on_conflict="debounce")

    after = live(db, first.id)
    assert after.args == {"n": 1}
    assert after.run_at - after.created_at > timedelta(minutes=59)


def test_debounce_replace_moves_the_time_and_takes_the_arguments(db):
    """What most people mean by debounce."""
    first = unique(db, args={"n": 1}, delay="1 minute")

    unique(db, args={"n": 2}, delay="1 hour", on_conflict="debounce_replace")

    after = live(db, first.id)
    assert after.args == {"n": 2}
    assert after.run_at - after.created_at > timedelta(minutes=59)


def test_an_earlier_moment_wakes_who_sleeps(db, sessions):
    """Its timer is set for the old one."""
    unique(db, delay="1 hour")
    sleeper = listener(sessions, parked="default")

    unique(db, on_conflict="debounce")

    assert heard(sleeper, db) == ["default"]


def test_a_shared_scope_never_gives_a_job_the_arguments_of_another_kind(db):
    """They would not fit its handler."""
    first = unique(db, kind="charge", args={"n": 1}, unique_scope="s")

    again = unique(db, kind="remind", args={"m": 2}, unique_scope="s", on_conflict="replace")

    assert again == (first.id, False)
    assert live(db, first.id).args == {"n": 1}


def test_a_rollback_gives_the_key_back(db):
    """The job never existed, so nobody holds anything."""
    with db.transaction(force_rollback=True):
        unique(db)
    assert find(db) is None

    unique(db)
    running(db)
    with db.transaction(force_rollback=True):
        unique(db, on_conflict="latest")
    assert state(db, find(db)) == "running"


def test_in_bulk_each_job_says_whether_it_was_made(db):
    """In the order given; the first of two with one key wins, and jobs without a key go along."""
    there = unique(db, "b")

    made = rows(
        db,
        "select * from pgqueue.enqueue_many(%s)",
        [
            """[{"kind": "noop", "unique_key": "c"}, {"kind": "noop"}, {"kind": "noop", "unique_key": "b"},
                {"kind": "noop", "unique_key": "a"}, {"kind": "noop", "unique_key": "c", "on_conflict": "replace",
                 "args": {"n": 2}}]"""
        ],
    )

    assert [each.created for each in made] == [True, True, False, True, False]
    assert made[2].id == there.id
    assert made[4].id == made[0].id
    assert live(db, made[0].id).args == {"n": 2}
    assert [made[0].id, made[1].id, made[3].id] == [each.id for each in made if each.created]


BROKEN = [
    ({"unique_key": ""}, "''", "1 to 1024"),
    ({"unique_key": "k" * 1025}, "1025", "1 to 1024"),
    ({"unique_scope": "s"}, "NULL", "1 to 1024"),
    ({"unique_for": "1 day"}, "NULL", "1 to 1024"),
    ({"unique_key": "k", "unique_scope": "a b"}, "'a b'", "letters, digits"),
    ({"unique_key": "k", "unique_until": "later"}, "'later'", "started or finished"),
    ({"unique_key": "k", "unique_for": "0 s"}, "00:00:00", "more than nothing"),
    ({"unique_key": "k", "unique_for": "2000 years"}, "2000 years", "1000 years"),
    ({"unique_key": "k", "on_conflict": "explode"}, "'explode'", "keep, replace"),
    ({"unique_key": "k", "on_conflict": "latest", "unique_until": "started"}, "latest", "leave out"),
    ({"unique_key": "k", "on_conflict": "latest", "unique_for": "1 day"}, "latest", "leave out"),
]


@pytest.mark.parametrize(("options", "wrong", "rule"), BROKEN)
def test_what_breaks_a_rule_is_refused_with_value_and_rule(db, options, wrong, rule):
    """One by one and in bulk; a period without a key is a mistake, not a wish to be ignored."""
    for call in (lambda: unique(db, None, **options), lambda: enqueue_many(db, [{"kind": "noop", **options}])):
        with pytest.raises(psycopg.Error) as refused:
            call()
        assert refused.value.sqlstate == "PQ001"
        assert wrong in refused.value.diag.message_primary
        assert rule in refused.value.diag.message_primary
    assert everything(db) == []


def test_the_longest_key_is_taken(db):
    """An index holds it, whatever it is made of."""
    key = "ä" * 512

    assert unique(db, key).created
    assert not unique(db, key).created
