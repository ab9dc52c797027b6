"""What the commands do, seen from a terminal and from a program."""

import json
import shutil
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

from pgqueue import client, migrations, monitor
from pgqueue.calls import SCHEMA_REVISION
from pgqueue.job import Job
from tests.embedded.users import stop_whatever_is_left

pytestmark = pytest.mark.integration


def answer(result):
    """The JSON that a command printed."""
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.fixture
def dead(db):
    """Id of a job that failed for good, on its second attempt."""
    job = client.enqueue(db, Job("charge", {"invoice": 7}, queue="billing", max_attempts=2))
    worker = db.execute("select pgqueue.register('w', 'h', 1, '1', '{\"billing\": 2}')").fetchone()[0]
    for claims, pause in ((1, "0"), (2, None)):
        db.execute("select pgqueue.claim(%s, 'billing', 1)", [worker])
        db.execute(
            "select pgqueue.fail(%s, array[%s::bigint], array[%s::int], array['CardDeclined: no money'], "
            "array['Traceback\n  line \x1b[31m2'], array[%s::interval])",
            [worker, job.id, claims, pause],
        )
    return job.id


def test_enqueue_tells_the_id(pgqueue, db):
    """And commits."""
    result = pgqueue("enqueue", "charge", "--args", '{"invoice": 7}', "--queue", "billing", "--priority", 2)

    found = db.execute("select id, kind, args, queue, priority, max_attempts, timeout from pgqueue.jobs").fetchall()
    assert found == [(1, "charge", {"invoice": 7}, "billing", 2, 20, None)]
    assert result.stdout == "job 1 enqueued: charge in queue billing\n"


def test_enqueue_takes_every_option(pgqueue, db):
    """Those of the Python API, under the same names."""
    when = "2030-01-31T12:00:00+01:00"
    made = answer(pgqueue("enqueue", "a", "--run-at", when, "--max-attempts", 3, "--timeout", "1.5", "--json"))
    later = answer(pgqueue("enqueue", "a", "--delay", "3600", "--json"))

    assert made == {"id": 1, "created": True}
    found = "select run_at = %s, max_attempts, extract(epoch from timeout)::float from pgqueue.jobs where id = %s"
    assert db.execute(found, [when, made["id"]]).fetchone() == (True, 3, 1.5)
    delayed = "select run_at - created_at = '1 hour' from pgqueue.jobs where id = %s"
    assert db.execute(delayed, [later["id"]]).fetchone() == (True,)


def test_enqueue_says_of_which_version_the_arguments_are(pgqueue, db):
    """A worker with newer code brings them up to date; without it they would be taken for the oldest."""
    pgqueue("enqueue", "charge", "--version", 3)
    pgqueue("enqueue", "charge", "--version", 1)

    assert db.execute("select meta from pgqueue.job order by id").fetchall() == [({"version": 3},), (None,)]
    assert "Invalid value for '--version'" in pgqueue("enqueue", "charge", "--version", 0).stderr


def test_status_counts(pgqueue, db, dead):
    """The numbers of the views."""
    client.enqueue(db, Job("a"))
    client.enqueue(db, Job("a", delay=60))
    found = answer(pgqueue("status", "--json"))

    names = ("queue", "ready", "scheduled", "running", "completed", "failed", "cancelled", "expired")
    counts = [[queue[name] for name in names] for queue in found["queues"]]
    assert counts == [["billing", 0, 0, 0, 0, 1, 0, 0], ["default", 1, 1, 0, 0, 0, 0, 0]]
    assert found["queues"][0]["oldest_ready_age"] is None
    assert 0 <= found["queues"][1]["oldest_ready_age"] < 60
    assert [(w["id"], w["name"], w["state"], w["queues"]) for w in found["workers"]] == [
        (1, "w", "running", {"billing": 2})
    ]
    shown = pgqueue("status").stdout
    assert "oldest ready" in shown
    assert "billing:2" in shown


def test_status_of_nothing(pgqueue):
    """Not an empty table."""
    assert pgqueue("status").stdout == "no jobs yet\n\nno workers\n"
    assert answer(pgqueue("status", "--json")) == {"queues": [], "workers": [], "unknown_kinds": []}


def test_status_leaves_out_who_ended_in_order(pgqueue, db):
    """Unless asked: a deployment leaves dozens of them."""
    db.execute("select pgqueue.leave(pgqueue.register('w', 'h', 1, '1', '{\"a\": 1}'))")

    assert answer(pgqueue("status", "--json"))["workers"] == []
    assert [worker["state"] for worker in answer(pgqueue("status", "--all", "--json"))["workers"]] == ["stopped"]


def test_jobs_list_filters(pgqueue, db, dead):
    """By queue, kind and state, together too."""
    other = client.enqueue(db, Job("mail")).id

    def ids(*options):
        return [job["id"] for job in answer(pgqueue("jobs", "list", "--json", *options))]

    assert ids() == [other, dead]
    assert ids("--queue", "billing") == [dead]
    assert ids("--kind", "mail") == [other]
    assert ids("--state", "failed") == [dead]
    assert ids("--state", "failed", "--kind", "mail") == []


def test_jobs_list_pages(pgqueue, db):
    """Each page begins where the last ended, however many were added meanwhile."""
    all_ids = [job.id for job in client.enqueue_many(db, [Job("a")] * 5)]
    seen, before = [], []
    while page := answer(pgqueue("jobs", "list", "--json", "--limit", 2, *before)):
        seen += [job["id"] for job in page]
        before = ["--before", seen[-1]]
        assert len(seen) <= 5, "it goes round in a circle"
        client.enqueue(db, Job("a"))

    assert seen == all_ids[::-1]


def test_jobs_list_says_how_to_go_on(pgqueue, db):
    """On a terminal, if there may be more."""
    client.enqueue_many(db, [Job("a")] * 3)

    assert "There may be more: --before 2" in pgqueue("jobs", "list", "--limit", 2).stdout
    assert "may be more" not in pgqueue("jobs", "list", "--limit", 4).stdout
    assert pgqueue("jobs", "list", "--queue", "none").stdout == "no such jobs\n"


def test_jobs_show_tells_the_story(pgqueue, dead):
    """Every attempt that failed, with its traceback; nothing in it can move the cursor."""
    found = answer(pgqueue("jobs", "show", dead, "--json"))
    shown = pgqueue("jobs", "show", dead).stdout

    assert (found["state"], found["args"], found["error"]) == ("failed", {"invoice": 7}, "CardDeclined: no money")
    assert [attempt["attempt"] for attempt in found["failed_attempts"]] == [1, 2]
    assert "attempt 2, worker 1, ended " in shown
    assert "      line \\x1b[31m2" in shown
    assert "\x1b" not in shown


def test_jobs_show_tells_how_it_expires_and_is_unique(pgqueue, db):
    """Why it did not start, or was not enqueued a second time."""
    job = client.enqueue(db, Job("charge", expires_at=datetime(2040, 1, 1, tzinfo=UTC), unique_key="order-7"))

    shown = pgqueue("jobs", "show", job.id).stdout

    assert "expires_at       2040-01-01 00:00:00Z\n" in shown
    assert "unique_key       order-7\n" in shown


def test_jobs_retry_brings_back(pgqueue, db, dead):
    """Under the old id, and committed."""
    assert answer(pgqueue("jobs", "retry", dead, "--json")) == {"retried": [dead]}
    assert db.execute("select state from pgqueue.jobs where id = %s", [dead]).fetchone() == ("ready",)


def test_jobs_cancel_takes_several(pgqueue, db):
    """With the reason on record."""
    first, second = client.enqueue_many(db, [Job("a")] * 2)
    result = pgqueue("jobs", "cancel", first.id, second.id, "--reason", "by mistake")

    assert result.stdout == "jobs 1, 2 cancelled\n"
    found = db.execute("select distinct state, error from pgqueue.jobs").fetchall()
    assert found == [("cancelled", "by mistake")]


def test_jobs_cancel_tells_which_run_and_were_only_told(pgqueue, db):
    """They end when their worker has stopped them, not before."""
    running, waiting = client.enqueue_many(db, [Job("a"), Job("b")])
    db.execute("update pgqueue.job set worker = 1001, claims = 1 where id = %s", [running.id])

    result = pgqueue("jobs", "cancel", running.id, waiting.id)

    assert result.stdout == "job 2 cancelled\njob 1 running: told to stop\n"
    assert answer(pgqueue("jobs", "cancel", running.id, "--json")) == {"cancelled": [], "asked": [1]}


def test_several_at_once_are_all_or_none(pgqueue, db):
    """Or one would have to find out which were done."""
    job = client.enqueue(db, Job("a"))
    assert pgqueue("jobs", "cancel", job.id, 99).exit_code == 1
    assert db.execute("select state from pgqueue.jobs").fetchall() == [("ready",)]


def test_migrate_says_what_it_did(bare, empty_dsn):
    """The first time and the second."""
    assert bare("migrate", "--dsn", empty_dsn).stdout == f"schema pgqueue made, revision {SCHEMA_REVISION}\n"
    assert bare("migrate", "--dsn", empty_dsn).stdout == f"schema pgqueue is at revision {SCHEMA_REVISION}\n"


def test_migrate_prints_the_script(bare):
    """Without a server, to the byte what the library gives."""
    assert bare("migrate", "--sql").stdout == migrations.script()
    assert bare("migrate", "--sql", "--from", SCHEMA_REVISION).stdout == migrations.script(SCHEMA_REVISION)


def test_the_option_wins_over_the_environment(pgqueue, empty_dsn):
    """--dsn, else $PGQUEUE_DSN, else libpq's own."""
    assert pgqueue("status").exit_code == 0
    assert "run: pgqueue migrate" in pgqueue("status", "--dsn", empty_dsn).stderr


def test_libpqs_environment_is_used(bare, dsn, monkeypatch):
    """As psql would."""
    for name, value in psycopg.conninfo.conninfo_to_dict(dsn).items():
        monkeypatch.setenv({"dbname": "PGDATABASE"}.get(name, f"PG{name.upper()}"), str(value))
    assert bare("status").exit_code == 0


def test_into_a_pipe_nothing_is_cut_off(pgqueue, db):
    """`pgqueue jobs list | grep` must find what is there."""
    kind = "k" * 255
    client.enqueue(db, Job(kind))
    assert kind in pgqueue("jobs", "list").stdout


def test_job_states_are_those_of_the_view(db):
    """One list, in the view's comment and here."""
    ((comment,),) = db.execute(
        "select col_description('pgqueue.jobs'::regclass, attnum) from pg_attribute "
        "where attrelid = 'pgqueue.jobs'::regclass and attname = 'state'"
    ).fetchall()
    assert set(monitor.STATES) == set(comment.replace(" (a dead letter)", "").replace(";", ",").rstrip(".").split(", "))


def test_embedded_needs_no_server(bare, monkeypatch):
    """A Postgres of pgqueue's own, and what was put in is there the next time."""
    home = Path(tempfile.mkdtemp(prefix="pgqueue-test-", dir="/tmp"))
    home.chmod(0o711)  # root's postgres runs as another account
    monkeypatch.setenv("XDG_DATA_HOME", str(home))
    try:
        made = bare("migrate", "--embedded")
        assert made.stdout == f"schema pgqueue made, revision {SCHEMA_REVISION}\n", made.output
        assert bare("enqueue", "a", "--embedded").stdout == "job 1 enqueued: a in queue default\n"
    finally:
        for folder in (home / "pgqueue").glob("*"):
            stop_whatever_is_left(folder)
        shutil.rmtree(home)
