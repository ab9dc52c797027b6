"""Results, waited for in threads: the same, without an event loop of one's own."""

import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from pgqueue import Results, enqueue, errors, job
from tests.results.waiters import NEVER, connections, parked
from tests.sql.verbs import A, claim, claimed, enqueue_many, fail, finish, ids
from tests.worker.working import PATIENCE_SECONDS, until, working

pytestmark = pytest.mark.integration


@pytest.fixture
def results(dsn):
    with Results(dsn, poll=NEVER) as results:
        yield results


async def test_what_the_handler_returns_comes_back_to_who_enqueued(dsn, db, results):
    """The whole way, in a thread that just waits."""

    @job
    def add(a: int, b: int) -> int:
        return a + b

    with ThreadPoolExecutor(1) as pool:
        async with working(dsn):
            handle = results.of(enqueue(db, add.job(1, b=2)))
            result = pool.submit(handle.result, timeout=PATIENCE_SECONDS)
            await until(result.done)

    assert result.result() == 3


async def test_many_threads_wait_on_one_connection(db, results):
    """As a web server of many threads does."""
    enqueue_many(db, [{"kind": "noop"}] * 50)
    taken = claim(db, A, 50)
    with ThreadPoolExecutor(50) as pool:
        waiting = [pool.submit(results.of(id).result, timeout=PATIENCE_SECONDS) for id in ids(taken)]
        await until(lambda: parked(db))
        finish(db, A, taken, ids(taken))

        assert [one.result() for one in waiting] == ids(taken)
    assert len(connections(db)) == 1


def test_errors_are_the_same(db, results):
    """One way to write what is done about them."""
    failed = claimed(db)
    fail(db, A, [failed], "ValueError: no")

    with pytest.raises(errors.JobFailed, match="ValueError: no"):
        results.of(failed.id).result(timeout=PATIENCE_SECONDS)
    with pytest.raises(errors.JobNotFound, match="commit first, then wait"):
        results.of(4711).result(timeout=PATIENCE_SECONDS)
    with pytest.raises(errors.ResultTimeout):
        results.of(claimed(db).id).result(timeout=0.01)
    with pytest.raises(errors.ConfigurationError, match="timeout 0"):
        results.of(failed.id).result(timeout=0)


def test_closing_tells_who_still_waits(dsn, db):
    """No thread is left behind."""
    taken = claimed(db)
    told = []

    def wait(results):
        try:
            results.of(taken.id).result()
        except errors.QueueError as error:
            told.append(str(error))

    with Results(dsn) as results:
        thread = threading.Thread(target=wait, args=[results])
        thread.start()
        while not parked(db):
            pass
    thread.join(PATIENCE_SECONDS)

    assert told == ["the results were closed while somebody waited; the jobs go on"]
    assert [thread for thread in threading.enumerate() if thread.name == "pgqueue-results"] == []
    with pytest.raises(errors.ConfigurationError, match="not open"):
        results.of(taken.id).result()


def test_who_waits_can_be_interrupted(db, results):
    """Ctrl-C ends the wait, not the process; then nobody is rung for."""
    taken = claimed(db)

    def interrupt():
        while not parked(db):
            pass
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        results.of(taken.id).result(timeout=PATIENCE_SECONDS)

    while parked(db):
        pass


def test_a_child_is_told_to_open_its_own(db, results):
    """The thread that serves stays in the parent: the child would wait for ever."""
    taken = claimed(db)
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        try:
            results.of(taken.id).result()
        except errors.ConfigurationError as error:
            os.write(writing, str(error).encode())
        finally:
            os._exit(0)
    os.close(writing)
    os.waitpid(child, 0)

    assert b"before the process forked; open them in each process" in os.read(reading, 1_000)
    os.close(reading)


def test_a_mistake_is_told_where_it_was_made(dsn):
    """Not in a thread that nobody looks at."""
    with pytest.raises(errors.ConfigurationError, match="DSN"):
        Results("postgresql+psycopg://host/app")
    with Results(dsn) as results, pytest.raises(errors.ConfigurationError, match="open already"):
        results.__enter__()
