"""The log: what a worker writes about its jobs, for people and for machines."""

import json
import logging
import re
import sys

import pytest

from pgqueue import Backoff, JobContext, enqueue, enqueue_many, job, migrations
from pgqueue.errors import ConfigurationError
from pgqueue.worker import logs
from tests.sql.verbs import value
from tests.worker.working import drain

pytestmark = pytest.mark.integration


@pytest.fixture
def written(capsys):
    """What was written to stderr so far, line by line; asked for after `logs.setup`."""
    before = logging.root.handlers[:], logging.root.level
    yield lambda: capsys.readouterr().err.splitlines()
    logging.root.handlers[:], logging.root.level = before


def lines(written, event: str) -> list[dict]:
    return [line for line in map(json.loads, written()) if line["event"] == event]


def test_a_migration_has_one_line_not_alembics_dozen(empty_dsn, written, monkeypatch):
    """`worker --embedded` migrates first: nobody asked how. Nor that there was nothing to do."""
    monkeypatch.setattr(logging.getLogger("alembic"), "level", logging.NOTSET)
    logs.setup("json")

    migrations.migrate(empty_dsn)
    assert [json.loads(line)["logger"].partition(".")[0] for line in written()] == ["pgqueue"]

    migrations.migrate(empty_dsn)
    assert written() == []


async def test_a_completed_job_has_a_line_with_its_fields(dsn, db, written, noop):
    """To find by id what happened to one job, by kind what is slow, by worker what is broken."""
    id = enqueue(db, noop.job()).id
    logs.setup("json")

    await drain(dsn, name="here")

    (line,) = lines(written, "job completed")
    duration = line.pop("duration")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line.pop("time"))
    assert 0 <= duration < 5
    assert line == {
        "level": "info",
        "logger": "pgqueue.job",
        "event": "job completed",
        "id": id,
        "kind": "noop",
        "queue": "default",
        "attempt": 1,
        "worker": "here",
    }


async def test_a_failed_attempt_has_a_line_that_says_whether_another_follows(dsn, db, written):
    """A warning while attempts are left, an error when somebody must act."""

    @job(max_attempts=2, backoff=Backoff(base=0))
    async def fails():
        raise ValueError("no such order")

    id = enqueue(db, fails.job()).id
    logs.setup("json")

    await drain(dsn, name="here")

    found = [json.loads(line) for line in written()]
    (first,) = [line for line in found if line["event"] == "job failed, will be retried"]
    (last,) = [line for line in found if line["event"] == "job failed for good"]
    assert (first["level"], first["attempt"], first["retry_in"]) == ("warning", 1, 0)
    assert (last["level"], last["attempt"]) == ("error", 2)
    for line in (first, last):
        assert (line["id"], line["kind"], line["queue"], line["worker"]) == (id, "fails", "default", "here")
        assert line["error"] == "ValueError: no such order"
        assert line["duration"] >= 0


async def test_a_handlers_own_lines_carry_its_job(dsn, db, written):
    """Beside what it adds itself."""

    @job
    async def talks(context: JobContext):
        context.log.info("charging %s", "card", extra={"amount": 5})

    @job
    def talks_in_a_thread(context: JobContext):
        context.log.warning("charging")

    first, second = (enqueue(db, one.job()).id for one in (talks, talks_in_a_thread))
    logs.setup("json")

    await drain(dsn)

    found = [json.loads(line) for line in written()]
    (line,) = [line for line in found if line["event"] == "charging card"]
    assert (line["id"], line["kind"], line["attempt"], line["amount"]) == (first, "talks", 1, 5)
    (line,) = [line for line in found if line["event"] == "charging"]
    assert (line["id"], line["kind"], line["level"]) == (second, "talks_in_a_thread", "warning")


async def test_text_lines_name_the_same_fields(dsn, db, written):
    """For a terminal: one line each, values with spaces in quotes."""

    @job(max_attempts=1)
    async def fails():
        raise ValueError("no such order")

    id = enqueue(db, fails.job()).id
    logs.setup("text")

    await drain(dsn, name="here")

    (line,) = [line for line in written() if "job failed for good" in line]
    assert re.fullmatch(
        rf"\d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{{3}}Z ERROR   job failed for good id={id} kind=fails queue=default "
        r'attempt=1 worker=here duration=[0-9.e-]+ error="ValueError: no such order"',
        line,
    )


async def test_more_than_a_hundred_completed_jobs_a_second_are_counted_instead(dsn, db, written, noop):
    """A queue of fast jobs must not drown its reader. Every job is accounted for all the same."""
    enqueue_many(db, [noop.job() for _ in range(3000)])
    logs.setup("json")

    await drain(dsn)

    found = [json.loads(line) for line in written()]
    single = sum(line["event"] == "job completed" for line in found)
    counted = [re.fullmatch(r"(\d+) more jobs completed", line["event"]) for line in found]
    assert 100 <= single <= 1000
    assert single + sum(int(one[1]) for one in counted if one) == 3000
    assert value(db, "select count(*) from pgqueue.jobs where state = 'completed'") == 3000


async def test_failures_are_never_only_counted(dsn, db, written):
    """However many: each is somebody's job."""

    @job(max_attempts=1)
    async def fails():
        raise ValueError

    enqueue_many(db, [fails.job() for _ in range(300)])
    logs.setup("json")

    await drain(dsn)

    assert len(lines(written, "job failed for good")) == 300


async def test_its_own_start_and_end_are_told(dsn, written):
    """With the queues it serves."""
    logs.setup("json")

    await drain(dsn, queues={"mail": 3, "billing": 1}, name="here")

    found = [json.loads(line) for line in written()]
    assert [line["event"] for line in found if line["logger"] == "pgqueue.worker"] == [
        "worker started",
        "worker has done its part: nothing is left that could run now",
        "worker stopping",
        "worker stopped",
    ]
    assert found[0]["queues"] == {"mail": 3, "billing": 1}
    assert {line["worker"] for line in found} == {"here"}


def test_an_unknown_format_or_level_is_refused():
    """With those there are."""
    with pytest.raises(ConfigurationError, match="use text or json"):
        logs.setup("xml")
    with pytest.raises(ConfigurationError, match="use debug, info, warning or error"):
        logs.setup("text", "loud")


def test_an_error_with_its_traceback_fits_both_formats(written):
    """JSON keeps it in one line."""
    for format, expected in (("json", 1), ("text", 4)):
        logs.setup(format)
        try:
            raise ValueError("broken")
        except ValueError:
            logging.getLogger("application").error("it broke", exc_info=sys.exc_info())
        assert len(written()) >= expected
