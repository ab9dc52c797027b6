"""fire and what goes with it: due_schedules, plan_schedule, run_schedule."""

import threading
from datetime import datetime, timedelta

import psycopg
import pytest

from tests.sql.schedules import due, due_since, fire, metas, schedule, seen, stored, verb
from tests.sql.verbs import A, claim, finish, row, value, values

pytestmark = pytest.mark.integration


def outcomes(fired):
    return [step.outcome for step in fired]


def test_it_enqueues_the_job_and_moves_on_in_one_transaction(db):
    """A crash between the two cannot fire twice, nor lose the moment."""
    schedule(db, args={"month": 5}, queue="reports", options={"priority": 1, "max_attempts": 3})
    due_at = due_since(db, "1 second")
    db.execute("begin")
    fire(db)
    db.execute("rollback")
    assert (stored(db).next_run_at, value(db, "select count(*) from pgqueue.job")) == (due_at, 0)

    (fired,) = fire(db)

    assert (fired.outcome, fired.due_at) == ("fired", due_at)
    job = row(db, "select kind, args, queue, priority, max_attempts from pgqueue.job where id = %s", [fired.job])
    assert tuple(job) == ("report", {"month": 5}, "reports", 1, 3)
    found = seen(db)
    assert (found.next_run_at, found.runs, found.last_due_at) == (due_at + timedelta(hours=1), 1, due_at)
    assert (found.last_job, found.last_state) == (fired.job, "ready")
    assert timedelta(0) < found.drift < timedelta(seconds=30)


def test_the_job_says_which_schedule_and_moment_it_is_for(db):
    """Whatever the handler does for a day, it has to know for which; what was given as meta stays."""
    schedule(db, options={"meta": {"version": 2}})
    due_at = due_since(db, "3 seconds")
    fire(db)

    (meta,) = metas(db)
    assert (meta["schedule"], meta["version"]) == ("nightly", 2)
    assert datetime.fromisoformat(meta["due_at"]) == due_at


def test_a_moment_fires_once_even_if_the_schedule_is_put_back(db):
    """By hand, or by a restored backup: the unique (schedule, due_at) holds."""
    schedule(db)
    due_at = due_since(db, "1 second")
    assert outcomes(fire(db)) == ["fired"]
    db.execute("update pgqueue.schedule set next_run_at = %s", [due_at])

    assert outcomes(fire(db)) == ["passed"]
    assert value(db, "select count(*) from pgqueue.job") == 1
    assert stored(db).next_run_at == due_at + timedelta(hours=1)


def test_two_owners_at_the_same_moment_fire_once(db, sessions):
    """The second neither waits nor fires: it finds the row taken, then gone on."""
    first, second = sessions(2)
    schedule(db)
    due_since(db, "1 second")
    known = stored(db)
    first.execute("begin")
    assert outcomes(fire(first)) == ["fired"]
    second.execute("set statement_timeout = '20s'")
    assert outcomes(fire(second)) == ["stale"]
    first.execute("commit")

    late = second.execute(
        "select outcome from pgqueue.fire(array['nightly'], array[%s], array[%s], array[%s], array[%s])",
        [known.revision, known.next_run_at, known.next_run_at, known.next_run_at + timedelta(hours=1)],
    ).fetchall()
    assert late == [("stale",)]
    assert value(db, "select count(*) from pgqueue.job") == 1


def test_a_row_that_an_operator_has_locked_holds_up_nobody(db, sessions):
    """Somebody paused it in a transaction and went to lunch; the other schedules fire."""
    (operator,) = sessions(1)
    schedule(db, "a")
    schedule(db, "b")
    for name in "ab":
        due_since(db, "1 second", name)
    operator.execute("begin")
    verb(operator, "pause_schedule", "a")

    assert outcomes(fire(db, "a", "b")) == ["stale", "fired"]


def test_nobody_fires_by_a_rule_that_has_changed(db):
    """The owner read it before the change, even if the next moment is the same."""
    schedule(db)
    due_since(db, "1 second")
    known = stored(db)
    schedule(db, args={"changed": 1})

    found = db.execute(
        "select outcome from pgqueue.fire(array['nightly'], array[%s], array[%s], array[%s], array[null::timestamptz])",
        [known.revision, known.next_run_at, known.next_run_at],
    ).fetchall()
    assert found == [("stale",)]


def test_it_waits_for_the_moment_on_the_servers_clock(db):
    """Owners come early on purpose; what they do not wait for is a clock that was put back."""
    schedule(db)
    due_at = value(db, "update pgqueue.schedule set next_run_at = clock_timestamp() + '30 ms' returning next_run_at")
    assert outcomes(fire(db)) == ["fired"]
    assert value(db, "select created_at from pgqueue.job") >= due_at

    due_since(db, "-1 hour")
    assert outcomes(fire(db)) == ["early"]
    assert value(db, "select count(*) from pgqueue.job") == 1


def test_it_rings_the_workers_that_sleep(db, sessions):
    """Its job goes the way of all jobs: a sleeping worker starts it at once."""
    (sleeper,) = sessions(1)
    sleeper.execute("listen pgqueue")
    sleeper.execute("select pgqueue.park('default')")
    schedule(db)
    due_since(db, "1 second")
    fire(db)

    assert [note.payload for note in sleeper.notifies(timeout=20, stop_after=1)] == ["default"]


def test_jitter_spreads_the_jobs_and_not_the_moments(db):
    """A thousand tenants at midnight do not all start in one second."""
    for number in range(40):
        schedule(db, f"tenant{number}", jitter="10 minutes")
        due_since(db, "1 second", f"tenant{number}")
    assert set(outcomes(fire(db, *(f"tenant{number}" for number in range(40))))) == {"fired"}

    delays = values(db, "select run_at - created_at from pgqueue.job")
    assert all(timedelta(0) <= delay <= timedelta(minutes=10) for delay in delays)
    assert len(set(delays)) > 30
    assert set(values(db, "select next_run_at - last_due_at from pgqueue.schedules")) == {timedelta(hours=1)}


def test_it_ends_with_its_last_run_or_its_last_moment(db):
    """And says so, instead of vanishing."""
    schedule(db, "twice", max_runs=2)
    schedule(db, "until", end_at="2100-01-01T00:00Z")
    for _ in range(2):
        due_since(db, "1 second", "twice")
        db.execute("delete from pgqueue.schedule_run")
        assert outcomes(fire(db, "twice")) == ["fired"]
    due_since(db, "1 second", "until")
    fire(db, "until", next_run_at="2100-01-01T00:00:01Z")

    assert [(seen(db, name).state, seen(db, name).next_run_at) for name in ("twice", "until")] == [("ended", None)] * 2


def test_overlap_allow_runs_beside_the_one_before(db):
    """The default: runs are independent."""
    schedule(db)
    due_since(db, "2 hours")

    assert outcomes(fire(db) + fire(db)) == ["fired", "fired"]


def test_overlap_skip_passes_over_the_moment_while_the_run_before_is_not_over(db):
    """Waiting counts as not over: a backlog must not pile up runs either."""
    schedule(db, overlap="skip")
    due_since(db, "3 hours")
    assert outcomes(fire(db) + fire(db)) == ["fired", "skipped"]
    assert (seen(db).runs, seen(db).skipped) == (1, 1)

    finish(db, A, claim(db, A))
    assert outcomes(fire(db)) == ["fired"]


def test_overlap_queue_waits_for_the_run_before(db):
    """No moment is lost, and no two runs overlap."""
    schedule(db, overlap="queue")
    due_at = due_since(db, "3 hours")
    assert outcomes(fire(db) + fire(db)) == ["fired", "held"]
    assert (seen(db).state, seen(db).next_run_at) == ("waiting", due_at + timedelta(hours=1))

    finish(db, A, claim(db, A))
    assert outcomes(fire(db) + fire(db)) == ["fired", "held"]
    assert seen(db).skipped == 0


def test_a_run_by_hand_counts_as_the_run_before(db):
    """It is a run of this schedule: two at once are what overlap forbids."""
    schedule(db, overlap="skip")
    due_since(db, "1 second")
    verb(db, "run_schedule")
    verb(db, "run_schedule")
    finish(db, A, claim(db, A, limit=1))

    assert outcomes(fire(db)) == ["skipped"]


def test_a_run_by_hand_leaves_its_moments_alone(db):
    """Also of one that is paused or has ended."""
    schedule(db, max_runs=1)
    due_at = stored(db).next_run_at
    verb(db, "pause_schedule")
    job = verb(db, "run_schedule")

    assert value(db, "select kind from pgqueue.job where id = %s", [job]) == "report"
    assert metas(db)[0]["schedule"] == "nightly"
    found = seen(db)
    assert (found.next_run_at, found.runs, found.last_job, found.state) == (due_at, 0, job, "paused")


def test_due_are_those_within_reach_the_most_urgent_first(db):
    """And those whose first moment nobody has worked out; neither paused nor ended nor broken ones."""
    for name, ago in (("soon", "-5 seconds"), ("late", "1 hour"), ("far", "-1 hour"), ("paused", "1 hour")):
        schedule(db, name)
        due_since(db, ago, name)
    verb(db, "pause_schedule", "paused")
    schedule(db, "unplanned", cron="@daily")

    assert due(db, "30 seconds") == ["late", "unplanned", "soon"]
    assert due(db, "-2 seconds") == ["late"]


def test_due_is_one_look_into_an_index_however_many_there_are(db):
    """Asked every second by each worker of the fleet."""
    db.execute(
        """insert into pgqueue.schedule (name, kind, every, next_run_at)
           select 's' || g, 'noop', '1 hour', clock_timestamp() + '1 hour' from generate_series(1, 5000) g"""
    )
    db.execute("analyze pgqueue.schedule")
    before = value(db, "select idx_tup_read from pg_stat_user_indexes where indexrelname = 'schedule_due'")
    assert due(db) == []
    db.execute("select pg_stat_force_next_flush()") if db.info.server_version >= 150000 else None
    assert value(db, "select idx_tup_read from pg_stat_user_indexes where indexrelname = 'schedule_due'") - before < 10
    assert value(db, "select seq_scan from pg_stat_user_tables where relname = 'schedule'") < 5


def test_a_plan_holds_only_for_the_rule_it_was_made_for(db):
    """Somebody changed the expression while the owner was counting."""
    schedule(db, cron="@daily")
    known = stored(db)
    schedule(db, cron="@hourly")
    plan = "select pgqueue.plan_schedule('nightly', %s, %s::timestamptz, %s)"

    assert value(db, plan, [known.revision, "2100-01-01T00:00Z", None]) is False
    assert value(db, plan, [known.revision + 1, "2100-01-01T00:00Z", None]) is True
    assert seen(db).next_run_at.year == 2100


def test_an_error_rests_the_schedule_until_it_is_changed_or_resumed(db):
    """Visible on its row; the others go on."""
    schedule(db, cron="0 99 * * *")
    db.execute("select pgqueue.plan_schedule('nightly', 1, null, 'hour 99 is wrong')")
    assert (seen(db).state, seen(db).error, due(db)) == ("error", "hour 99 is wrong", [])

    verb(db, "resume_schedule")
    assert (seen(db).state, due(db)) == ("active", ["nightly"])
    db.execute("select pgqueue.plan_schedule('nightly', 1, null, 'hour 99 is wrong')")
    schedule(db, cron="0 9 * * *")
    assert (seen(db).state, seen(db).error, due(db)) == ("active", None, ["nightly"])


def test_it_ends_when_no_moment_comes(db):
    """The owner found none before its end."""
    schedule(db, cron="@yearly")
    db.execute("select pgqueue.plan_schedule('nightly', 1, null)")

    assert seen(db).state == "ended"


def test_an_enqueue_that_is_refused_fires_nothing(db):
    """All of the batch or none: the owner tries each by itself then."""
    schedule(db, "a")
    schedule(db, "b", options={"no_such_option": 1})
    for name in "ab":
        due_since(db, "1 second", name)

    with pytest.raises(psycopg.Error, match="no_such_option"):
        fire(db, "a", "b")
    assert value(db, "select count(*) from pgqueue.job") == 0
    assert outcomes(fire(db, "a")) == ["fired"]


def test_ten_owners_with_a_hundred_schedules_fire_each_moment_once(db, sessions):
    """In any order, over and over: no deadlock, nothing twice, nothing lost."""
    names = [f"s{number:03}" for number in range(100)]
    for name in names:
        schedule(db, name, every="1 second")
        due_since(db, "5 seconds", name)
    errors = []

    def own(conn):
        try:
            for _ in range(5):
                fire(conn, *names)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=own, args=[conn]) for conn in sessions(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert errors == []
    runs = values(db, "select meta ->> 'schedule' || (meta ->> 'due_at') from pgqueue.job")
    assert len(runs) == len(set(runs)) == value(db, "select sum(runs) from pgqueue.schedule")
    assert value(db, "select min(runs) from pgqueue.schedule") >= 1
