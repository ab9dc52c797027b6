"""What a running job says of itself, at the terminal."""

import json

import psycopg
import pytest

from pgqueue import monitor
from tests.sql.verbs import A, claimed

pytestmark = pytest.mark.integration


@pytest.fixture
def talks(db: psycopg.Connection) -> int:
    """A running job that has come half way and written two lines."""
    job = claimed(db)
    db.execute(
        """select pgqueue.report(%s, array[%s::bigint], array[%s], array[0.5], array['page 2 of 4'],
               '{1,1}', '{1,2}', '{60,0}', '{info,warning}', array['page 1 fetched', %s])""",
        [A, job.id, job.claims, "two\nlines \x1b[31m"],
    )
    return job.id


def test_jobs_show_tells_how_far_a_job_is_and_what_it_wrote(pgqueue, talks):
    """Without looking for the worker that runs it, and its log."""
    shown = pgqueue("jobs", "show", talks).stdout

    assert "progress         0.5\n" in shown
    assert "progress_message page 2 of 4\n" in shown
    story = shown[shown.index("\nlog\n") :].splitlines()[2:]
    assert [line.partition("attempt 1 ")[2] for line in story] == [
        "info     page 1 fetched",
        "warning  two",
        "warning  lines \\x1b[31m",
    ]


def test_jobs_show_as_json_has_it_too(pgqueue, talks):
    """For programs."""
    found = json.loads(pgqueue("jobs", "show", talks, "--json").stdout)

    assert (found["progress"], found["progress_message"]) == (0.5, "page 2 of 4")
    assert [(line["line"], line["level"]) for line in found["log"]] == [(1, "info"), (2, "warning")]


def test_the_monitor_gives_the_last_lines(db, talks):
    """Of a job that has written ten thousand, the end is what is asked for."""
    assert [line.line for line in monitor.log(db, talks)] == [1, 2]
    assert [line.line for line in monitor.log(db, talks, limit=1)] == [2]
    assert monitor.log(db, 4711) == []
    assert monitor.job(db, talks).progress == 0.5
