"""executor="process": sync code that can be killed, in processes that are used again."""

import logging
import os
import signal
from datetime import UTC
from pathlib import Path

import pytest
from psycopg.conninfo import make_conninfo

from pgqueue import Secret, cancel, enqueue, enqueue_many, job, lifespan, middleware
from pgqueue.errors import ConfigurationError
from pgqueue.task import registry
from tests.sql.verbs import row, state, value, values
from tests.worker import process_handlers as handlers
from tests.worker.process import process
from tests.worker.working import attempts, drain, states, until, working


@pytest.fixture(autouse=True)
def known(own_registry):
    """What the child finds when it imports the module, this process must know as well."""
    registry.update({task.name: task for task in handlers.TASKS})
    middleware(handlers.tenancy)
    lifespan(process=True)(handlers.model)


def results(db):
    return values(db, "select result from pgqueue.jobs order by id")


def error(db):
    return value(db, "select error from pgqueue.jobs")


def alive(pid: int) -> bool:
    """Not one that has ended and only waits to be seen off."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


async def noted(path: Path) -> int:
    """The process id that a handler wrote down."""
    return int(await until(lambda: path.exists() and path.read_text()))


async def test_processes_are_used_again_and_end_with_the_worker(dsn, db, tmp_path, monkeypatch):
    """To start one takes far longer than most jobs. Its lifespans end with it."""
    monkeypatch.setenv("PGQUEUE_TEST_ENDED", str(tmp_path / "ended"))
    enqueue_many(db, [handlers.tells_its_pid.job() for _ in range(10)])

    await drain(dsn, queues={"default": 2})

    pids = set(results(db))
    assert os.getpid() not in pids
    assert len(pids) <= 2
    assert not any(map(alive, pids))
    assert (tmp_path / "ended").read_text() == "ended"


async def test_a_process_is_replaced_after_so_many_jobs(dsn, db):
    """What leaks is given back."""
    enqueue_many(db, [handlers.short_lived.job() for _ in range(5)])

    await drain(dsn, queues={"default": 1})

    pids = results(db)
    assert [pids.count(pid) for pid in dict.fromkeys(pids)] == [2, 2, 1]


async def test_a_timeout_kills_it_and_the_next_job_runs(dsn, db, tmp_path):
    """Really: also what no exception could reach. The time it takes to start does not count."""
    enqueue(db, handlers.hangs_in_process.job(str(tmp_path / "pid")).options(timeout=0.5))
    enqueue(db, handlers.tells_its_pid.job())

    await drain(dsn, queues={"default": 1})

    assert states(db) == ["failed", "completed"]
    assert error_of(db, 0) == "JobTimeout: stopped after 0.5 s, its timeout"
    assert not alive(await noted(tmp_path / "pid"))


def error_of(db, number):
    return values(db, "select error from pgqueue.jobs order by id")[number]


async def test_a_cancel_kills_it_and_what_it_started(dsn, db, tmp_path):
    """A program that a handler runs would go on otherwise."""
    id = enqueue(db, handlers.hangs_with_a_child.job(str(tmp_path / "pid"))).id
    async with working(dsn):
        started = await noted(tmp_path / "pid")
        assert alive(started)
        cancel(db, id, "the customer left")
        await until(lambda: state(db, id) == "cancelled")
        await until(lambda: not alive(started))

    assert error(db) == "the customer left"


async def test_a_worker_that_is_killed_leaves_none_behind(dsn, db, tmp_path):
    """Nobody would be there to stop it."""
    db.execute("create table ledger (job bigint, pid integer, event text)")
    enqueue(db, handlers.hangs_in_process.job(str(tmp_path / "pid")))
    with process(dsn, handlers="tests.worker.process_handlers") as worker:
        pid = await noted(tmp_path / "pid")
        assert alive(pid)
        worker.signal(signal.SIGKILL)
        await until(lambda: not alive(pid))


async def test_a_worker_that_stops_kills_what_takes_longer_than_its_grace(dsn, db, tmp_path):
    """And gives the job back, as any other."""
    id = enqueue(db, handlers.hangs_in_process.job(str(tmp_path / "pid"))).id
    async with working(dsn, grace=0):
        pid = await noted(tmp_path / "pid")

    assert state(db, id) == "ready"
    assert not alive(pid)


async def test_a_large_result_comes_through(dsn, db):
    """Larger than any pipe's buffer; and one beyond the limit is refused as from any handler."""
    enqueue_many(db, [handlers.returns_much.job(size) for size in (1_000_000, 2_000_000, 20_000_000)])

    await drain(dsn, queues={"default": 1})

    assert states(db) == ["completed", "failed", "failed"]
    assert value(db, "select length(result #>> '{}') from pgqueue.jobs where state = 'completed'") == 1_000_000
    assert all("store the data elsewhere" in error_of(db, number) for number in (1, 2))


async def test_memory_is_capped(dsn, db):
    """The attempt fails, not the machine; the next job has its own."""
    mib = 1_048_576
    enqueue_many(db, [handlers.takes_memory.job(size) for size in (8 * mib, 500 * mib, 8 * mib)])

    await drain(dsn, queues={"default": 1})

    assert states(db) == ["completed", "failed", "completed"]
    assert error_of(db, 1).startswith("MemoryError")


@pytest.mark.parametrize(
    ("how", "said", "traceback"),
    [
        ("plainly", "ValueError: no such customer", 'raise ValueError("no such customer")'),
        ("unpicklable", "ErrorInProcess: NotPlain: 1 and 2", "raise NotPlain(1, 2)"),
        ("exit", "SystemExit: 3", "sys.exit(3)"),
        ("_exit", "ProcessDied: the process that ran it ended with exit code 3", None),
        ("killed", "ProcessDied: the process that ran it was killed by signal 9 (SIGKILL); the kernel does", None),
        ("segfault", "ProcessDied: the process that ran it was killed by signal 11 (SIGSEGV)", None),
        ("unstorable", "InvalidResult: a object cannot be stored as JSON", None),
    ],
)
async def test_however_it_fails_only_its_own_attempt_does(dsn, db, how, said, traceback):
    """With the reason, and the traceback of where it happened. The worker goes on."""
    enqueue_many(db, [handlers.fails_in_process.job(how), handlers.tells_its_pid.job()])

    await drain(dsn, queues={"default": 1})

    assert states(db) == ["failed", "completed"]
    ((_, told),) = attempts(db, value(db, "select min(id) from pgqueue.jobs"))
    assert told.startswith(said)
    if traceback is not None:
        noted = value(db, "select traceback from pgqueue.attempt")
        assert noted.splitlines()[1].endswith("in fails_in_process")
        assert traceback in noted


async def test_what_it_says_of_its_job_is_heard(dsn, db):
    """As from any other handler, raised or returned."""
    enqueue_many(db, [handlers.says.job(what) for what in ("snooze", "retry", "cancel", "discard")])

    await drain(dsn)

    assert states(db) == ["scheduled", "scheduled", "cancelled", "failed"]
    told = values(db, "select error from pgqueue.jobs order by id")
    assert told == [
        "Snooze: closed at night", "Retry: KeyError: 'account'", "order withdrawn", "Discard: no such account",
    ]  # fmt: skip


async def test_what_it_says_and_sees_is_as_elsewhere(dsn, db, caplog, capfd):
    """Its prints and log lines go where the worker's go; middleware and lifespans are there; what is not says so."""
    caplog.set_level(logging.INFO)
    id = enqueue(db, handlers.tells_all.job().options(meta={"tenant": "acme"}, timeout=60)).id

    await drain(dsn)

    told = value(db, "select result from pgqueue.jobs")
    assert told[:4] == [id, 1, True, "acme"]
    assert told[4].startswith("model of ")
    assert "there is none in this process" in told[5]
    assert "printed by a handler" in capfd.readouterr().out
    assert value(db, "select progress from pgqueue.jobs") == 0.5
    lines = [(record.name, record.levelname, record.getMessage()) for record in caplog.records]
    assert ("shop", "WARNING", "logged by a handler 42") in lines
    assert ("pgqueue.job", "INFO", "said by a handler") in lines


async def test_its_moments_are_told_in_utc(dsn, db):
    """A handler is moved to a process and must go on with the same days."""
    enqueue(db, handlers.tells_when.job())

    await drain(make_conninfo(dsn, options="-c timezone=Asia/Tokyo"))

    on_record = row(db, "select run_at, created_at from pgqueue.jobs")
    assert results(db) == [[str(moment.astimezone(UTC)) for moment in on_record]]


async def test_what_it_says_is_kept_without_its_secrets(dsn, db, caplog):
    """It is another process that writes the lines, and they must be as clean as the worker's own."""
    caplog.set_level(logging.INFO)
    enqueue(db, handlers.tells_a_secret.job(Secret("hunter2-again")))

    await drain(dsn)

    assert value(db, "select state || ' ' || progress_message from pgqueue.jobs") == "completed with ***"
    assert values(db, "select text from pgqueue.job_logs") == ["kept: ***"]
    said = [record.getMessage() for record in caplog.records if record.name == "pgqueue.job"]
    assert "given: ***" in said
    assert not any("hunter2" in one for one in said)


async def test_a_handler_that_no_module_has_is_refused_with_the_reason(dsn, db):
    """A child imports modules; it cannot import a function inside of another."""

    @job(executor="process", max_attempts=1)
    def local():
        pass

    enqueue(db, local.job())

    await drain(dsn)

    assert error(db).startswith("UnknownKind: no handler is registered under 'local'")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"executor": "fiber"}, "use 'thread' or 'process'"),
        ({"memory": 1}, "use executor='process'"),
        ({"recycle": 1}, "use executor='process'"),
        ({"executor": "process", "memory": 0}, "whole number from 1"),
        ({"executor": "process", "recycle": 1.5}, "whole number from 1"),
        ({"executor": "process", "transactional": True}, "a transaction cannot reach into a process"),
        ({"executor": "process", "batch": 10}, "a batch cannot reach into a process"),
    ],
)
def test_options_that_cannot_work_are_refused(options, said):
    """When the module is imported."""
    with pytest.raises(ConfigurationError, match=said):

        @job(**options)
        def charge():
            pass


def test_an_async_handler_is_refused():
    """It has a loop to be cancelled in; a child has none."""
    with pytest.raises(ConfigurationError, match="runs sync functions"):

        @job(executor="process")
        async def charge():
            pass
