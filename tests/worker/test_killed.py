"""SIGKILL of a worker's process in the middle of each kind of job: another worker runs it, and what was done once stays
done once."""

import signal
from collections.abc import Callable

import psycopg
import pytest

from pgqueue import Job, enqueue
from pgqueue.task import registry
from tests.sql.verbs import rescue, row, rows, state, value, values
from tests.worker import killed_handlers as handlers
from tests.worker.process import LEDGER, process
from tests.worker.test_process import alive
from tests.worker.working import attempts, until

pytestmark = pytest.mark.integration

MODULE = "tests.worker.killed_handlers"


@pytest.fixture(autouse=True)
def known(own_registry):
    registry.update({task.name: task for task in handlers.TASKS})


async def killed(dsn: str, db: psycopg.Connection, when: Callable[[], object]) -> None:
    """A worker, once that is true. It is rescued at once: how soon others find it, test_death.py is about."""
    with process(dsn, handlers=MODULE) as victim:
        await until(when)
        victim.signal(signal.SIGKILL)
        victim.ended(10)
    await until(lambda: rescue(db, silence="0 s"))


async def killed_and_run_again(dsn: str, db: psycopg.Connection, job: Job) -> int:
    """A job whose first worker was killed when it had begun, and which a second one completed. Its id."""
    db.execute(LEDGER)
    id = enqueue(db, job).id
    await killed(dsn, db, lambda: value(db, "select count(*) from ledger") == 1)
    with process(dsn, handlers=MODULE):
        await until(lambda: state(db, id) == "completed")
    ((number, error),) = attempts(db, id)
    assert number == 1
    assert error.startswith("WorkerDied: ")
    return id


async def test_a_job_in_a_child_process_leaves_no_orphan_and_runs_again(dsn, db):
    """A child that went on alone would do its work beside the second attempt, and nobody would hear of it."""
    await killed_and_run_again(dsn, db, handlers.stays_in_a_child.job())

    first, second = values(db, "select pid from ledger order by at")
    assert first != second
    await until(lambda: not (alive(first) or alive(second)))


@pytest.mark.parametrize("task", [handlers.writes_and_stays, handlers.writes_and_stays_sync], ids=["async", "sync"])
async def test_what_a_transactional_job_wrote_and_did_not_commit_is_gone(dsn, db, task):
    """Between its writes and its commit: the second attempt writes them, once."""
    db.execute("create table effect (job bigint, attempt integer)")

    id = await killed_and_run_again(dsn, db, task.job())

    assert rows(db, "select job, attempt from effect") == [(id, 2)]


@pytest.mark.parametrize("task", [handlers.once_and_stays, handlers.once_and_stays_sync], ids=["async", "sync"])
async def test_a_step_that_was_taken_is_not_taken_again(dsn, db, task):
    """The mail has gone: the record of it is no part of what died."""
    id = await killed_and_run_again(dsn, db, task.job())

    assert value(db, "select result from pgqueue.jobs where id = %s", [id]) is False


async def test_its_lines_stay_and_its_progress_begins_anew(dsn, db):
    """What the first attempt said tells how far it came."""
    db.execute(LEDGER)
    id = enqueue(db, handlers.says_and_stays.job()).id
    said = "select text from pgqueue.job_logs where job = %s order by claims, line"
    await killed(dsn, db, lambda: values(db, said, [id]))
    with process(dsn, handlers=MODULE):
        await until(lambda: state(db, id) == "completed")

    assert values(db, said, [id]) == ["line of attempt 1", "line of attempt 2"]
    shown = row(db, "select progress, progress_message from pgqueue.jobs where id = %s", [id])
    assert tuple(shown) == (1, "attempt 2")
