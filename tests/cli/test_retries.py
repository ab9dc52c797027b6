"""What the command line tells of retries: the schedule beforehand, the failures afterwards, kinds that nobody knows."""

import json
import sys

import pytest

pytestmark = pytest.mark.integration

APP = """
from pgqueue import Backoff, job

@job(max_attempts=4, backoff=Backoff(base=10, cap=30, jitter=0.5))
def grows(): ...

@job(max_attempts=3, backoff=60, retry_on=(ConnectionError, TimeoutError), timeout=5, on_failed=print, aliases=["old"])
def fixed(): ...

@job(max_attempts=3, backoff=lambda attempt, error: error.pause)
def depends(): ...

@job(max_attempts=32767)
def endless(): ...
"""


@pytest.fixture
def explain(bare, tmp_path, monkeypatch):
    """Runs explain-retries on the module above."""
    (tmp_path / "explained_app.py").write_text(APP)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "explained_app", raising=False)

    def run(kind, *options):
        return bare("explain-retries", kind, "--app", "explained_app", *options)

    return run


def test_the_schedule_is_printed_without_a_database(explain):
    """Attempt, when it starts, how long it waits: each with its range."""
    lines = [" ".join(line.split()) for line in explain("grows").stdout.splitlines()]

    assert lines[0] == "backoff Backoff(base=10, factor=2.0, cap=30, jitter=0.5)"
    assert lines[-5:] == [
        "attempt starts after then waits",
        "1 0.0 s 5.0 s … 10.0 s",
        "2 5.0 s … 10.0 s 10.0 s … 20.0 s",
        "3 15.0 s … 30.0 s 15.0 s … 30.0 s",
        "4 30.0 s … 1 min 0 s -",
    ]


def test_the_schedule_as_json(explain):
    """Seconds, for programs; with all that decides beside."""
    told = json.loads(explain("fixed", "--json").stdout)

    assert told["retry_on"] == "ConnectionError, TimeoutError"
    assert (told["give_up_on"], told["timeout"], told["on_failed"]) == (None, 5, True)
    assert told["attempts"] == [
        {"attempt": 1, "shortest": 54, "longest": 60, "earliest": 0, "latest": 0},
        {"attempt": 2, "shortest": 54, "longest": 60, "earliest": 54, "latest": 60},
        {"attempt": 3, "shortest": None, "longest": None, "earliest": 108, "latest": 120},
    ]
    assert len(json.loads(explain("old", "--json", "--attempts", "7").stdout)["attempts"]) == 7


def test_pauses_that_depend_on_the_error_are_not_invented(explain):
    """Nobody can know them beforehand."""
    steps = json.loads(explain("depends", "--json").stdout)["attempts"]

    assert [(step["longest"], step["latest"]) for step in steps] == [(None, 0), (None, None), (None, None)]


def test_thousands_of_attempts_do_not_fill_the_terminal(explain):
    """The first of them and the last."""
    lines = explain("endless").stdout.splitlines()

    assert len(lines) < 65
    assert "attempts 51 to 32766 are left out" in lines[-1]


def test_a_kind_that_does_not_exist_is_told(explain):
    """With those that do."""
    result = explain("chrage")

    assert result.exit_code == 2
    assert "no handler is registered under 'chrage'; known here: depends, endless" in result.stderr


def test_jobs_show_tells_the_fingerprint_of_each_failure(pgqueue, db):
    """To look for its brothers."""
    db.execute("select pgqueue.enqueue('charge')")
    db.execute("select pgqueue.claim(7, 'default', 1)")
    db.execute("select pgqueue.fail(7, '{1}', '{1}', '{ValueError: no}', '{null}', '{null}', '{2f3c}')")

    assert ", fingerprint 2f3c" in pgqueue("jobs", "show", 1).stdout
    (attempt,) = json.loads(pgqueue("jobs", "show", 1, "--json").stdout)["failed_attempts"]
    assert attempt["fingerprint"] == "2f3c"


def test_status_tells_of_kinds_that_nobody_knows(pgqueue, db):
    """A typing error in a producer, or a worker of last week."""
    db.execute("select pgqueue.enqueue('chrage', queue => 'billing')")
    db.execute("select pgqueue.claim(7, 'billing', 1)")
    db.execute("select pgqueue.set_aside(7, '{1}', '{1}')")

    shown = pgqueue("status").stdout
    (told,) = json.loads(pgqueue("status", "--json").stdout)["unknown_kinds"]

    assert "no worker has a handler for their kind" in shown
    assert "chrage" in shown
    assert (told["kind"], told["queue"], told["jobs"]) == ("chrage", "billing", 1)
