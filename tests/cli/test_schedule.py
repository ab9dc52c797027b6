"""pgqueue schedule: what an operator does from a terminal."""

import json
from datetime import datetime

import pytest

from tests.sql.schedules import due_since, fire, schedule, seen, stored
from tests.sql.test_declare import declaration, declare
from tests.sql.verbs import register, value, values

pytestmark = pytest.mark.integration


def answer(result):
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_set_makes_a_schedule_and_changes_the_one_of_its_name(pgqueue, db):
    """Never a second; and it says when it runs next."""
    made = pgqueue("schedule", "set", "nightly", "report", "--cron", "30 2 * * *", "--tz", "Europe/Berlin")
    assert made.stdout.startswith("schedule nightly made: next run 20")
    changed = answer(pgqueue("schedule", "set", "nightly", "report", "--every", "5m", "--json"))

    assert (changed["name"], changed["created"]) == ("nightly", False)
    assert datetime.fromisoformat(changed["next_run_at"]) == stored(db).next_run_at
    assert values(db, "select extract(epoch from every)::int from pgqueue.schedules") == [300]


def test_set_takes_every_option(pgqueue, db):
    """Those of the Python API, under the same names."""
    command = """--every 90 --args {"a":1} --queue q --priority 1 --max-attempts 2 --timeout 3 --jitter 4
        --start-at 2100-01-01T00:00Z --end-at 2101-01-01T00:00+01:00 --max-runs 5 --missed 6 --overlap queue
        --any-kind"""
    assert pgqueue("schedule", "set", "a", "b", *command.split()).exit_code == 0

    found = stored(db, "a")
    assert (found.kind, found.args, found.queue, found.overlap) == ("b", {"a": 1}, "q", "queue")
    assert (found.max_runs, found.missed, found.jitter.total_seconds()) == (5, 6, 4)
    assert found.options == {"priority": 1, "max_attempts": 2, "timeout": "3.000000 seconds"}
    assert (found.start_at.year, found.end_at.isoformat()[:4]) == (2100, "2100")


def test_list_shows_when_how_and_who(pgqueue, db, sessions):
    """And what is wrong, in words."""
    assert pgqueue("schedule", "list").stdout == "no schedules\n"
    (owner,) = sessions(1)
    worker = register(owner, "host:7")
    owner.execute("select pgqueue.lead()")
    declare(db, worker, declaration())
    old = register(db)
    declare(db, old, declaration("gone"))
    db.execute("select pgqueue.leave(%s)", [old])
    schedule(db, "broken", cron="99 * * * *")
    db.execute("select pgqueue.plan_schedule('broken', 1, null, 'minute 99 is wrong')")
    due_since(db, "1 second")
    fire(db)

    shown = pgqueue("schedule", "list").stdout
    lines = {line.split()[0]: line for line in shown.splitlines() if line}
    assert "code" in lines["nightly"]
    assert "ready" in lines["nightly"]
    assert " ms" in lines["nightly"]
    assert "not in the code of any running worker" in lines["gone"]
    assert "error" in lines["broken"]
    assert "broken: minute 99 is wrong" in shown
    assert "owner: host:7" in shown
    assert [each["name"] for each in answer(pgqueue("schedule", "list", "--json"))] == ["broken", "gone", "nightly"]


def test_pause_resume_run_remove(pgqueue, db):
    """Each by name."""
    schedule(db)
    due_at = stored(db).next_run_at
    assert pgqueue("schedule", "pause", "nightly").stdout == "schedule nightly paused\n"
    assert seen(db).state == "paused"
    assert pgqueue("schedule", "resume", "nightly").stdout == "schedule nightly resumed\n"
    assert seen(db).state == "active"
    assert pgqueue("schedule", "run", "nightly").stdout == "job 1 enqueued by schedule nightly\n"
    assert value(db, "select kind from pgqueue.job where id = 1") == "report"
    assert stored(db).next_run_at == due_at
    assert pgqueue("schedule", "remove", "nightly").stdout == "schedule nightly removed\n"
    assert values(db, "select name from pgqueue.schedules") == []


def test_prune_removes_what_vanished_from_the_code(pgqueue, db):
    """And nothing while nobody can say what is in the code."""
    worker, other = register(db), register(db)
    declare(db, worker, declaration("gone"))
    assert pgqueue("schedule", "prune").stdout == "nothing to remove\n"
    db.execute("select pgqueue.leave(%s)", [worker])
    assert answer(pgqueue("schedule", "prune", "--json")) == {"removed": ["gone"]}

    db.execute("select pgqueue.leave(%s)", [other])
    refused = pgqueue("schedule", "prune")
    assert (refused.exit_code, "no worker is running" in refused.stderr) == (2, True)


def test_preview_shows_the_next_ten_moments_before_anything_is_saved(bare):
    """Without a database; in the zone and in UTC."""
    result = bare("schedule", "preview", "0 9 * * mon-fri", "--tz", "Europe/Berlin")
    head, _, table = result.stdout.partition("\n\n")
    lines = table.splitlines()

    assert head.startswith("At 09:00")
    assert lines[0].split() == ["Europe/Berlin", "UTC"]
    assert len(lines) == 11
    assert all(" 09:00:00 +0" in line and line.split()[0] in ("Mon", "Tue", "Wed", "Thu", "Fri") for line in lines[1:])


def test_preview_of_an_interval_with_start_and_end(bare):
    """What `set` with the same options would do."""
    command = "--every 1h --start-at 2100-01-01T00:00Z --end-at 2100-01-01T02:00Z --json"
    found = json.loads(bare("schedule", "preview", *command.split()).stdout)

    assert [moment[:16] for moment in found] == ["2100-01-01T00:00", "2100-01-01T01:00", "2100-01-01T02:00"]


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["set", "a", "b"], "needs cron or every"),
        (["set", "a", "b", "--cron", "0 99 * * *"], "hour '99' (field 2) is wrong"),
        (["set", "a", "b", "--cron", "@daily", "--tz", "Nowhere"], "time zone 'Nowhere' is unknown"),
        (["set", "a", "b", "--every", "5 minutes"], "--every '5 minutes' is no length of time"),
        (["set", "a", "b", "--every", "nan"], "every nan"),
        (["set", "a", "b", "--every", "1m", "--missed", "often"], "--missed 'often' is none"),
        (["set", "a", "b", "--every", "1m", "--start-at", "2100-01-01"], "--start-at '2100-01-01' has no time zone"),
        (["set", "a b", "c", "--every", "1m"], "schedule name 'a b' has a space"),
        (["set", "a", "b", "--every", "1m", "--args", "[]"], "--args is a JSON list"),
        (["preview", "61 * * * *"], "minute '61' (field 1) is wrong"),
    ],
)
def test_what_cannot_work_is_refused_with_the_place_that_is_wrong(pgqueue, command, message):
    """Exit code 2, in one line; nothing was saved."""
    result = pgqueue("schedule", *command)

    assert result.exit_code == 2
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize("verb", ["pause", "resume", "run", "remove"])
def test_an_unknown_name(pgqueue, db, verb):
    """With those there are."""
    schedule(db)
    result = pgqueue("schedule", verb, "nigthly")

    assert result.exit_code == 1
    assert result.stderr == "pgqueue: schedule 'nigthly' does not exist. There are: nightly\n"
