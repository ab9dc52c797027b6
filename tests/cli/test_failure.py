"""A wrong command says in one line what is wrong and what to do."""

import re

import psycopg
import pytest

from pgqueue import client
from pgqueue.job import Job

pytestmark = pytest.mark.integration


def failed(result, code):
    """Its one line on stderr."""
    assert result.exit_code == code, result.output
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1
    assert result.stderr.startswith("pgqueue: ")
    return result.stderr.removeprefix("pgqueue: ").strip()


@pytest.mark.parametrize(
    "command", [["status"], ["migrate"], ["enqueue", "a"], ["jobs", "list"], ["jobs", "retry", "1"]]
)
def test_an_unreachable_server(bare, command):
    """With where it was looked for and how to say otherwise."""
    line = failed(bare(*command, "--dsn", "host=127.0.0.1 port=1 dbname=app"), 1)

    assert line.startswith('cannot connect: connection to server at "127.0.0.1", port 1 failed: Connection refused; ')
    assert "--dsn or PGQUEUE_DSN" in line
    assert "--embedded" in line


def test_a_database_that_does_not_exist(bare, dsn):
    """The server's own words."""
    line = failed(bare("status", "--dsn", psycopg.conninfo.make_conninfo(dsn, dbname="no_such_db")), 1)
    assert 'database "no_such_db" does not exist' in line


@pytest.mark.parametrize("dsn", ["postgresql+psycopg://me:secret@host/app", "me:secret", "host=x pasword=secret"])
def test_a_dsn_that_is_none_is_not_repeated(bare, dsn):
    """There may be a password in it."""
    line = failed(bare("status", "--dsn", dsn), 2)
    assert "use postgresql://USER@HOST:PORT/DATABASE, without a +driver" in line
    assert "secret" not in line


@pytest.mark.parametrize("command", [["status"], ["enqueue", "a"], ["jobs", "list"], ["jobs", "show", "1"]])
def test_a_missing_schema(bare, empty_dsn, command):
    """The first thing that everybody meets."""
    assert "run: pgqueue migrate" in failed(bare(*command, "--dsn", empty_dsn), 1)


def test_a_newer_schema(pgqueue, db):
    """The code must be upgraded, and migrate must not touch it."""
    db.execute("update pgqueue.alembic_version set version_num = '9999'")

    assert "revision 9999" in failed(pgqueue("status"), 1)
    assert "Upgrade pgqueue here" in failed(pgqueue("migrate"), 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a", "--args", '{"x": 1,}'], r"--args is no JSON: .* at '}', line 1 column 9; give an object like"),
        (["a", "--args", '{"x": '], "--args is no JSON: .* at its end, line 1 column 7; give an object like"),
        (["a", "--args", "[1]"], "--args is a JSON list; give an object like"),
        (["a", "--run-at", "tomorrow"], "--run-at 'tomorrow' is no time; give ISO 8601"),
        (["a", "--run-at", "2026-01-31T12:00"], "--run-at '2026-01-31T12:00' has no time zone, so it names no moment"),
        (["a", "--run-at", "2026-01-31T12:00Z", "--delay", "5"], "both run_at .* and delay .* were given; give one"),
        (["a", "--priority", "12"], "priority 12 is out of range; use 0"),
        (["a", "--delay", "-1"], "delay -1.0 is no length of time"),
        (["a", "--timeout", "0"], "timeout 0.0 is no positive length of time"),
        (["a", "--max-attempts", "0"], "max_attempts 0 is out of range"),
        (["a", "--queue", "b c"], "queue name 'b c' has a space"),
        (["a b"], "job kind 'a b' has a space"),
    ],
)
def test_a_wrong_job(pgqueue, db, arguments, message):
    """Refused before it reaches the table, naming the value and the rule."""
    assert re.search(message, failed(pgqueue("enqueue", *arguments), 2))
    assert db.execute("select count(*) from pgqueue.job").fetchone() == (0,)


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["status", "--dsn", "host=x", "--embedded"], "both --dsn and --embedded were given"),
        (["migrate", "--from", "0001"], "--from belongs to --sql"),
        (["migrate", "--sql", "--from", "0815"], "there is no revision '0815'; use one of 0001"),
        (["migrate", "--lock-timeout", "0"], "lock_timeout 0.0 is out of range"),
        (["migrate", "--lock-timeout", "nan"], "lock_timeout nan is out of range"),
        (["migrate", "--sql", "--lock-timeout", "inf"], "lock_timeout inf is out of range"),
    ],
)
def test_options_that_cannot_work(pgqueue, command, message):
    """Exit code 2: nothing was tried."""
    assert message in failed(pgqueue(*command), 2)


@pytest.mark.parametrize(
    "command",
    [
        ["bogus"],
        ["enqueue"],
        ["jobs", "show", "abc"],
        ["jobs", "list", "--state", "lost"],
        ["jobs", "list", "--limit", "0"],
    ],
)
def test_wrong_usage(pgqueue, command):
    """As every command does it: usage, and what is wrong."""
    result = pgqueue(*command)
    assert result.exit_code == 2
    assert "Usage: " in result.stderr
    assert "Error: " in result.stderr


def test_a_job_that_does_not_exist(pgqueue):
    """For each verb that takes one."""
    for verb in ("show", "retry", "cancel"):
        assert "job 99 does not exist" in failed(pgqueue("jobs", verb, 99), 1)


def test_a_job_in_the_wrong_state(pgqueue, db):
    """With the state it is in."""
    job = client.enqueue(db, Job("a"))
    line = failed(pgqueue("jobs", "retry", job.id), 1)
    assert line == f"job {job.id} is ready: only failed, cancelled and expired jobs can be retried"


def test_a_bug_keeps_its_traceback(pgqueue, monkeypatch):
    """Only what can be expected is told in a line."""
    monkeypatch.setattr("pgqueue.monitor.queues", lambda connection: 1 / 0)
    result = pgqueue("status")
    assert isinstance(result.exception, ZeroDivisionError)
