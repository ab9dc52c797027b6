"""schedule, pause_schedule, resume_schedule, remove_schedule: one row of each name."""

from datetime import timedelta

import psycopg
import pytest

from tests.sql.schedules import due, due_since, fire, schedule, seen, stored, verb
from tests.sql.verbs import register, value, values

pytestmark = pytest.mark.integration


def test_an_interval_is_complete_at_once(db):
    """From SQL alone: nobody has to work anything out."""
    made = schedule(db, every="5 minutes", args={"month": 5}, queue="reports", options={"priority": 0})

    assert made.created
    assert made.next_run_at == stored(db).created_at + timedelta(minutes=5)
    found = seen(db)
    assert (found.kind, found.args, found.queue, found.options) == ("report", {"month": 5}, "reports", {"priority": 0})
    assert (found.state, found.source, found.runs) == ("active", "operator", 0)


def test_a_cron_expression_waits_for_its_owner(db):
    """Its moments are worked out in one place; until then it is told apart from one that has ended."""
    made = schedule(db, cron="0 9 * * mon-fri", tz="Europe/Berlin")

    assert (made.created, made.next_run_at) == (True, None)
    assert due(db) == ["nightly"]


def test_the_same_name_is_never_a_second_schedule(db, sessions):
    """Changed, not added: also when ten deploys say it at the same time."""
    first, second = sessions(2)
    first.execute("begin")
    assert schedule(first).created
    second.execute("set lock_timeout = '50ms'")
    with pytest.raises(psycopg.errors.LockNotAvailable):
        schedule(second, every="2 hours")
    first.execute("commit")
    second.execute("reset lock_timeout")

    assert not schedule(second, every="2 hours").created
    assert values(db, "select every from pgqueue.schedules") == [timedelta(hours=2)]


def test_what_keeps_its_time_keeps_its_next_moment(db):
    """A deploy at 08:59 must not put off what is due at nine, nor repeat what ran at eight."""
    schedule(db)
    due_at = due_since(db, "-10 minutes")

    assert schedule(db, args={"more": 1}, queue="other", missed=5).next_run_at == due_at
    assert stored(db).next_run_at == due_at
    assert schedule(db, cron="0 9 * * *").next_run_at is None
    db.execute("update pgqueue.schedule set next_run_at = %s", [due_at])
    assert schedule(db, cron="0 9 * * *").next_run_at == due_at


@pytest.mark.parametrize(
    "change",
    [
        {"every": "2 hours"},
        {"cron": "0 10 * * *"},
        {"cron": "0 9 * * *", "tz": "Europe/Berlin"},
        {"every": "1 hour", "start_at": "2100-01-01T00:00Z"},
    ],
)
def test_a_change_of_its_time_changes_its_next_moment(db, change):
    """Else it would run once more by the old time."""
    schedule(db)
    due_at = due_since(db, "1 minute")

    assert schedule(db, **change).next_run_at != due_at
    assert stored(db).next_run_at != due_at


def test_a_pause_survives_every_change(db):
    """Whoever is on call paused it for a reason that a deploy does not know."""
    schedule(db)
    verb(db, "pause_schedule")
    paused_at = stored(db).paused_at
    schedule(db, every="2 hours")
    verb(db, "pause_schedule")
    due_since(db, "1 minute")

    assert (seen(db).state, seen(db).paused_at) == ("paused", paused_at)
    assert due(db) == []
    assert [step.outcome for step in fire(db)] == ["stale"]

    verb(db, "resume_schedule")
    assert due(db) == ["nightly"]
    assert [step.outcome for step in fire(db)] == ["fired"]


def test_an_interval_is_counted_from_its_start(db):
    """On the hour, if that is where it starts, whenever it is made."""
    ahead = schedule(db, "ahead", start_at="2100-01-01T00:00Z").next_run_at
    behind = schedule(db, "behind", start_at="2000-01-01T00:00Z").next_run_at

    assert ahead.isoformat().startswith("2100-01-01T00:00:00")
    now = value(db, "select clock_timestamp()")
    assert now < behind <= now + timedelta(hours=1)
    assert (behind.minute, behind.second) == (0, 0)


def test_one_whose_end_has_come_ends_at_once_and_lives_on_when_the_end_is_moved(db):
    """It stays to be seen; nobody has to make it anew."""
    past = schedule(db, start_at="2000-01-01T00:00Z", end_at="2000-02-01T00:00Z")
    assert past.next_run_at is None
    assert seen(db).state == "ended"
    assert due(db) == []

    assert schedule(db, start_at="2000-01-01T00:00Z", end_at="2100-01-01T00:00Z").next_run_at is not None
    assert seen(db).state == "active"


def test_a_change_tells_the_owner(db, sessions):
    """It sets its timer anew at once, not at its next look."""
    (owner,) = sessions(1)
    owner.execute("listen pgqueue_schedule")
    schedule(db)
    verb(db, "resume_schedule")

    assert [note.payload for note in owner.notifies(timeout=20, stop_after=2)] == ["nightly"] * 2


def test_a_removed_schedule_is_gone_and_its_jobs_stay(db):
    """Also its moments: a new one of that name begins anew."""
    schedule(db)
    due_since(db, "1 second")
    fire(db)
    verb(db, "remove_schedule")

    assert values(db, "select name from pgqueue.schedules") == []
    assert values(db, "select schedule from pgqueue.schedule_run") == []
    assert value(db, "select count(*) from pgqueue.job") == 1


@pytest.mark.parametrize("function", ["pause_schedule", "resume_schedule", "run_schedule", "remove_schedule"])
@pytest.mark.parametrize("name", ["nigthly", "", None, "x" * 10_000, "'; drop table pgqueue.schedule"])
def test_an_unknown_name_is_refused_with_those_there_are(db, function, name):
    """A slip in a name must not look like success."""
    schedule(db)
    with pytest.raises(psycopg.Error) as refused:
        verb(db, function, name)

    assert refused.value.sqlstate == "PQ021"
    assert refused.value.diag.message_hint == "There are: nightly"


@pytest.mark.parametrize(
    ("given", "place"),
    [
        ({"name": "a b"}, "schedule name 'a b' is no name"),
        ({"name": None}, "schedule name NULL is no name"),
        ({"name": "x" * 256}, "is no name"),
        ({"cron": None}, "needs cron or every"),
        ({"cron": "@daily", "every": "1 day"}, "needs cron or every"),
        ({"cron": "0 9 * *"}, "has 4 fields"),
        ({"cron": ""}, "has 0 fields"),
        ({"cron": "@reboot"}, "'@reboot' is no nickname"),
        ({"cron": "* " * 200}, "the limit is 255"),
        ({"every": "1 month"}, "no fixed length"),
        ({"every": "0.5 seconds"}, "out of range"),
        ({"every": "-1 hour"}, "out of range"),
        ({"tz": "Europe/Berln"}, "time zone 'Europe/Berln' is unknown"),
        ({"tz": None}, "time zone NULL is unknown"),
        ({"start_at": "infinity"}, "out of range"),
        ({"end_at": "-infinity"}, "out of range"),
        ({"start_at": "2030-01-02T00:00Z", "end_at": "2030-01-01T00:00Z"}, "is before its start_at"),
        ({"max_runs": 0}, "max_runs 0 is out of range"),
        ({"jitter": "2 days"}, "jitter 2 days is out of range"),
        ({"missed": -1}, "missed -1 is out of range"),
        ({"missed": None}, "missed null is out of range"),
        ({"overlap": "maybe"}, "overlap 'maybe' is unknown"),
        ({"options": {"delay": "1 s"}}, "a schedule has its own"),
    ],
)
def test_what_cannot_work_is_refused_with_the_place_that_is_wrong(db, given, place):
    """And nothing is stored."""
    given = {"name": "a", "kind": "b", **given}
    if "cron" not in given:
        given.setdefault("every", "1 hour")
    with pytest.raises(psycopg.Error) as refused:
        schedule(db, **given)

    assert refused.value.sqlstate == "PQ020"
    assert place in refused.value.diag.message_primary
    assert values(db, "select name from pgqueue.schedule") == []


@pytest.mark.parametrize(
    ("given", "place"),
    [
        ({"kind": "no name"}, "job kind 'no name'"),
        ({"queue": ""}, "queue name ''"),
        ({"options": {"priority": 11}}, "priority 11"),
        ({"options": {"max_attempts": 0}}, "max_attempts 0"),
    ],
)
def test_the_rules_of_its_jobs_hold_when_it_is_made(db, given, place):
    """Not first in the night when it fires."""
    with pytest.raises(psycopg.Error) as refused:
        schedule(db, **{"name": "a", "kind": "b", **given})

    assert refused.value.sqlstate == "PQ001"
    assert place in refused.value.diag.message_primary


def test_a_kind_that_no_running_worker_knows_is_refused(db, sessions):
    """It would enqueue jobs that nobody can run. While no worker runs nobody can say."""
    schedule(db, "before", "reprot")
    (steward,) = sessions(1)
    worker = register(steward)
    schedule(db, "nobody_says", "reprot")
    db.execute('update pgqueue.worker set kinds = \'{"report": null, "mail": null}\' where id = %s', [worker])

    schedule(db, "good", "report")
    with pytest.raises(psycopg.Error, match=r"kind reprot of schedule bad is known to no running worker.*mail, report"):
        schedule(db, "bad", "reprot")
    schedule(db, "forced", "reprot", any_kind=True)

    assert values(db, "select name from pgqueue.schedules order by 1") == ["before", "forced", "good", "nobody_says"]
