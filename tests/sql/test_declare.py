"""declare and prune_schedules: what is in the code, and what is not any more."""

import psycopg
import pytest
from psycopg.types.json import Jsonb

from tests.sql.schedules import due_since, schedule, seen, stored, verb
from tests.sql.verbs import register, value, values

pytestmark = pytest.mark.integration


def declaration(name="nightly", **given):
    base = {"name": name, "kind": "report", "args": {}, "queue": "default", "options": {}, "tz": "UTC"}
    return {**base, "every": "1 hour", "missed": 1, "overlap": "allow", **given}


def declare(conn, worker, *schedules, known=False):
    conn.execute("select pgqueue.declare(%s, %s, %s)", [worker, Jsonb(list(schedules)), known])


def test_what_the_code_declares_is_made(db):
    """And told apart from what an operator made."""
    worker = register(db)
    declare(db, worker, declaration(), declaration("other", every=None, cron="@daily"))

    assert [(seen(db, name).source, seen(db, name).in_code) for name in ("nightly", "other")] == [("code", True)] * 2
    assert stored(db, "other").cron == "@daily"


def test_a_deploy_that_declares_the_same_changes_nothing(db):
    """Neither next_run_at nor a pause, nor what an operator has changed at run time."""
    declare(db, register(db), declaration())
    due_at = due_since(db, "-10 minutes")
    verb(db, "pause_schedule")
    before = stored(db)
    declare(db, register(db), declaration())
    assert stored(db) == before
    assert (before.next_run_at, before.paused_at is None) == (due_at, False)

    schedule(db, every="2 hours")
    changed = stored(db)
    declare(db, register(db), declaration())
    assert stored(db) == changed


def test_a_deploy_that_declares_another_time_changes_it(db):
    """The code has the last word when it says something new; the pause still stays."""
    declare(db, register(db), declaration())
    due_since(db, "-10 minutes")
    verb(db, "pause_schedule")
    declare(db, register(db), declaration(every="2 hours"))

    found = stored(db)
    assert (found.every.total_seconds(), found.paused_at is None) == (7200, False)
    assert value(db, "select next_run_at > clock_timestamp() + '1 hour' from pgqueue.schedule")


def test_a_deploy_that_changes_the_arguments_keeps_the_next_moment(db):
    """Only a change of the time is a reason to count anew."""
    declare(db, register(db), declaration())
    due_at = due_since(db, "-10 minutes")
    declare(db, register(db), declaration(args={"month": 5}))

    assert (stored(db).next_run_at, stored(db).args) == (due_at, {"month": 5})


def test_the_code_takes_over_what_an_operator_made(db):
    """Tried out at run time, then written down."""
    schedule(db)
    due_at = due_since(db, "-10 minutes")
    declare(db, register(db), declaration())

    assert (seen(db).source, seen(db).next_run_at) == ("code", due_at)


def test_a_worker_that_was_declared_dead_puts_back_nothing(db):
    """It may run older code than what was deployed while it was frozen."""
    declare(db, register(db), declaration())
    declare(db, register(db), declaration(every="2 hours"))
    declare(db, register(db), declaration(), known=True)

    assert stored(db).every.total_seconds() == 7200


def test_what_vanished_from_the_code_is_told_of_and_goes_on(db):
    """A schedule must not stop because somebody moved a file. Removed only when asked."""
    old, new = register(db), register(db)
    declare(db, old, declaration(), declaration("gone"))
    schedule(db, "by_hand")
    declare(db, new, declaration())
    assert seen(db, "gone").in_code  # of the old worker, which still runs

    db.execute("select pgqueue.leave(%s)", [old])

    assert [seen(db, name).in_code for name in ("nightly", "gone", "by_hand")] == [True, False, False]
    assert seen(db, "gone").state == "active"
    assert values(db, "select * from pgqueue.prune_schedules()") == ["gone"]
    assert values(db, "select name from pgqueue.schedules order by 1") == ["by_hand", "nightly"]


def test_nothing_is_pruned_while_no_worker_runs(db):
    """Nobody could say what is in the code: it would remove everything."""
    worker = register(db)
    declare(db, worker, declaration())
    db.execute("select pgqueue.leave(%s)", [worker])

    with pytest.raises(psycopg.Error, match="no worker is running") as refused:
        db.execute("select pgqueue.prune_schedules()")
    assert refused.value.sqlstate == "PQ020"
    assert values(db, "select name from pgqueue.schedules") == ["nightly"]


def test_a_declaration_that_breaks_a_rule_is_refused(db):
    """The worker that declares it stops, and says why."""
    with pytest.raises(psycopg.Error, match="time zone 'Nowhere' is unknown"):
        declare(db, register(db), declaration(every=None, cron="@daily", tz="Nowhere"))
    assert values(db, "select name from pgqueue.schedule") == []


def test_moments_are_forgotten_after_a_day(db):
    """The guard is for owners that fire at the same time, not for history."""
    db.execute(
        """insert into pgqueue.schedule_run (schedule, due_at, fired_at)
           select 'nightly', clock_timestamp() - g * '1 hour'::interval, clock_timestamp() - g * '1 hour'::interval
           from generate_series(1, 30) g"""
    )
    db.execute("select pgqueue.maintain()")

    assert value(db, "select count(*) from pgqueue.schedule_run") == 23
