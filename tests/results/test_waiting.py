"""Results, awaited: woken, never polled, thousands on one connection; and an error for whatever is no result."""

import asyncio
import pickle
import signal

import pytest

from pgqueue import AsyncResults, Enqueued, Job, enqueue, errors, job
from tests.results.waiters import NEVER, connections, parked, until_asleep, waiting
from tests.sql.archive import make_day
from tests.sql.verbs import A, cancel, claim, claimed, enqueue_many, fail, finish, ids, retry, value
from tests.sql.verbs import enqueue as enqueue_sql
from tests.worker.working import PATIENCE_SECONDS, until, working

pytestmark = pytest.mark.integration


@pytest.fixture
async def results(dsn):
    """Nothing but a ring tells it."""
    async with AsyncResults(dsn, poll=NEVER) as results:
        yield results


async def patiently(task):
    async with asyncio.timeout(PATIENCE_SECONDS):
        return await task


async def test_what_the_handler_returns_comes_back_to_who_enqueued(dsn, adb, results):
    """The whole way: enqueue, run, ring, result."""

    @job
    async def add(a: int, b: int) -> dict:
        return {"sum": a + b}

    async with working(dsn):
        handle = results.of(await enqueue(adb, add.job(1, b=2)))
        assert await patiently(handle.result()) == {"sum": 3}


async def test_a_sleeping_waiter_is_woken(db, results):
    """By the commit that ends its job, and by no other: nothing polls here."""
    mine, other = claimed(db), claimed(db)
    task = waiting(results, mine.id)
    await until_asleep(db)

    finish(db, A, [other], ["other"])
    finish(db, A, [mine], ["mine"])

    assert await patiently(task) == "mine"


async def test_a_job_that_has_ended_before_is_found_at_once(db, results):
    """Nobody will ring for it any more."""
    first, second = claimed(db), claimed(db)
    finish(db, A, [first], ["first"])
    assert await patiently(waiting(results, first.id)) == "first"

    other = waiting(results, claimed(db).id)  # also while others wait
    await until_asleep(db)
    finish(db, A, [second], ["second"])
    assert await patiently(waiting(results, second.id)) == "second"
    other.cancel()


@pytest.mark.parametrize("end", ["commit", "rollback"])
async def test_a_waiter_that_came_while_the_outcome_was_being_committed_is_not_left_asleep(db, sessions, results, end):
    """Its finisher saw nobody wait, so it does not ring: the waiter looks until that transaction has ended."""
    (finisher,) = sessions(1)
    taken = claimed(db)
    finisher.execute("begin")
    finish(finisher, A, [taken], ["late"])
    task = waiting(results, taken.id)
    await until(lambda: parked(db))

    finisher.execute(end)
    if end == "rollback":
        await until_asleep(db)
        finish(db, A, [taken], ["late"])

    assert await patiently(task) == "late"


async def test_who_waits_is_told_however_long_others_write_jobs(db, sessions, results, monkeypatch):
    """Any of them could be ending the job, so it looks now and then; but those that end it meanwhile ring."""
    monkeypatch.setattr("pgqueue.results.waiting.SETTLE_GROWTH", NEVER * 1000)
    monkeypatch.setattr("pgqueue.results.waiting.LONGEST_SETTLE", NEVER)
    (other,) = sessions(1)
    mine, ended = claimed(db), claimed(db)
    pausing = """select state = 'idle' and state_change < clock_timestamp() - interval '0.1 s' from pg_stat_activity
                 where datname = current_database() and application_name = 'pgqueue results'"""
    with other.transaction():
        enqueue_sql(other)
        task = waiting(results, mine.id)
        await until_asleep(db)
        await until(lambda: value(db, pausing))  # the first pause is shorter, the second would never end

        finish(db, A, [ended], ["ended"])
        assert await patiently(waiting(results, ended.id)) == "ended"  # whoever comes is looked at
        finish(db, A, [mine], ["mine"])
        assert await patiently(task) == "mine"


async def test_thousands_wait_on_one_connection_and_are_told_by_a_few_notifications(db, sessions, results):
    """A connection each would be more than a server has; a notification each would stop its commits."""
    (listener,) = sessions(1)
    listener.execute("listen pgqueue_results")
    enqueue_many(db, [{"kind": "noop"}] * 3_000)
    taken = claim(db, A, 3_000)
    tasks = [waiting(results, id) for id in ids(taken)]
    await until_asleep(db)
    assert len(connections(db)) == 1

    for start in (0, 1_000, 2_000):
        batch = taken[start : start + 1_000]
        finish(db, A, batch, ids(batch))

    assert await patiently(asyncio.gather(*tasks)) == ids(taken)
    assert len(list(listener.notifies(timeout=0))) <= 9


async def test_many_may_wait_for_the_same_job(db, results):
    """A page that two people look at."""
    taken = claimed(db)
    tasks = [waiting(results, taken.id) for _ in range(5)]
    impatient = waiting(results, taken.id, timeout=0.001)
    with pytest.raises(TimeoutError):
        await impatient
    await until_asleep(db)

    finish(db, A, [taken], [[1]])

    assert await patiently(asyncio.gather(*tasks)) == [[1]] * 5


async def test_while_nobody_waits_nobody_rings(db, sessions, results):
    """Whoever ends jobs pays a look at a bit, and no notification."""
    (listener,) = sessions(1)
    listener.execute("listen pgqueue_results")
    taken, later = claimed(db), claimed(db)
    task = waiting(results, taken.id)
    await until_asleep(db)
    finish(db, A, [taken])
    await patiently(task)

    await until(lambda: not parked(db))
    finish(db, A, [later])

    assert [notify.payload for notify in listener.notifies(timeout=0)] == [str(taken.id)]


async def test_who_gave_up_waiting_is_not_rung_for(db, results):
    """The last one that gives up takes the others' costs away."""
    with pytest.raises(errors.ResultTimeout, match=r"has not ended within 0\.05 s; it goes on"):
        await results.of(claimed(db).id).result(timeout=0.05)

    await until(lambda: not parked(db))


async def test_how_a_job_ended_without_a_result_is_an_error_that_says_it(db, results):
    """It carries the job's error, so that the caller need not ask again."""
    failed, waiting_ = claimed(db), enqueue_sql(db)
    tasks = [waiting(results, failed.id), waiting(results, waiting_)]
    await until_asleep(db)
    fail(db, A, [failed], "ValueError: no such customer")
    cancel(db, waiting_, "customer left")

    with pytest.raises(errors.JobFailed) as failure:
        await patiently(tasks[0])
    with pytest.raises(errors.JobCancelled) as cancelled:
        await patiently(tasks[1])

    assert str(failure.value) == f"job {failed.id} failed: ValueError: no such customer"
    assert (failure.value.id, failure.value.state, failure.value.error) == (
        failed.id,
        "failed",
        "ValueError: no such customer",
    )
    assert str(cancelled.value) == f"job {waiting_} cancelled: customer left"
    assert str(pickle.loads(pickle.dumps(cancelled.value))) == str(cancelled.value)
    assert isinstance(cancelled.value, errors.NoResult)
    assert issubclass(errors.JobExpired, errors.NoResult)


async def test_a_failure_that_is_tried_again_is_no_end(db, results):
    """Only its last attempt decides; nor is a dead letter that was brought back."""
    taken = claimed(db)
    task = waiting(results, taken.id)
    await until_asleep(db)

    fail(db, A, [taken], retry_in="0")
    await until_asleep(db)
    assert not task.done()
    finish(db, A, claim(db), ["second"])

    assert await patiently(task) == "second"


async def test_an_id_that_no_job_has_is_told_at_once(db, results):
    """And one whose transaction has not committed: to wait inside of it would be to wait for ever."""
    with pytest.raises(errors.JobNotFound, match="commit first, then wait"):
        await results.of(4711).result(timeout=PATIENCE_SECONDS)
    with db.transaction():
        enqueued = enqueue(db, Job("noop"))
        with pytest.raises(errors.JobNotFound, match="commit first, then wait"):
            await results.of(enqueued).result(timeout=PATIENCE_SECONDS)


async def test_a_job_that_retention_removes_is_found_missing(dsn, db):
    """By the slow look at all of them: nobody rings for what is dropped."""
    async with AsyncResults(dsn, poll=0.05) as results:
        taken = claimed(db)
        task = waiting(results, taken.id)
        await until_asleep(db)
        db.execute("delete from pgqueue.job")

        with pytest.raises(errors.JobNotFound, match="removed by retention"):
            await patiently(task)


async def test_a_result_is_kept_for_its_time(dsn, db, results):
    """Half an hour for a report that is big and soon stale."""

    @job(result_ttl=1800)
    async def big() -> str:
        return "x" * 1_000

    @job(result_ttl=60, transactional=True)
    async def together() -> str:
        return "committed with what it wrote"

    @job
    async def plain() -> str:
        return "kept"

    async with working(dsn):
        mine, within, other = (enqueue(db, task.job()) for task in (big, together, plain))
        assert await patiently(results.of(mine).result()) == "x" * 1_000
        assert await patiently(results.of(within).result()) == "committed with what it wrote"
        assert await patiently(results.of(other).result()) == "kept"

    ttl = "select extract(epoch from a.result_until - a.finished_at)::int from pgqueue.job_archive a where a.id = %s"
    assert [value(db, ttl, [one.id]) for one in (mine, within, other)] == [1800, 60, None]
    db.execute("update pgqueue.job_archive set result_until = now() where result_until is not null")
    with pytest.raises(errors.ResultGone, match="result_ttl"):
        await results.of(mine).result(timeout=PATIENCE_SECONDS)
    assert await results.of(other).result(timeout=PATIENCE_SECONDS) == "kept"


async def test_nothing_returned_is_a_result_too(db, results):
    """None, not an error."""
    taken = claimed(db)
    finish(db, A, [taken])

    assert await results.of(taken.id).result(timeout=PATIENCE_SECONDS) is None


async def test_a_job_of_yesterday_is_found(db, results):
    """In whatever day of the archive it lies."""
    make_day(db, "completed", 1)
    taken = claimed(db)
    finish(db, A, [taken], ["old"])
    db.execute("update pgqueue.job_archive set finished_at = now() - interval '1 day'")

    assert await results.of(taken.id).result(timeout=PATIENCE_SECONDS) == "old"


async def test_closing_tells_who_still_waits(dsn, db):
    """Or they would wait for ever for somebody who has left. The jobs go on."""
    async with AsyncResults(dsn) as results:
        task = waiting(results, claimed(db).id)
        await until_asleep(db)

    with pytest.raises(errors.QueueError, match="closed while somebody waited; the jobs go on"):
        await patiently(task)
    await until(lambda: connections(db) == [])
    with pytest.raises(errors.ConfigurationError, match="not open"):
        await results.of(1).result()


async def test_it_can_be_opened_again_but_not_twice_at_once(dsn, db):
    """One per process is the idea."""
    taken = claimed(db)
    finish(db, A, [taken], [1])
    results = AsyncResults(dsn)
    for _ in range(2):
        async with results:
            assert await results.of(taken.id).result(timeout=PATIENCE_SECONDS) == 1
            with pytest.raises(errors.ConfigurationError, match="open already"):
                await results.__aenter__()


@pytest.mark.parametrize("id", [0, -1, 2**63, "1", None, 1.0, True, Enqueued(None, True)])
async def test_what_can_be_no_id_is_refused(results, id):
    """Before it reaches the database."""
    with pytest.raises(errors.JobNotFound, match="is no job; give what enqueue returned"):
        results.of(id)


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), "5", True])
async def test_a_timeout_that_is_none_is_refused(db, results, timeout):
    """A mistake in it would be a wait without end, or none."""
    with pytest.raises(errors.ConfigurationError, match="timeout"):
        await results.of(claimed(db).id).result(timeout=timeout)


@pytest.mark.parametrize("dsn", ["postgresql+psycopg://secret@host/app", "secret", None, 5])
def test_a_dsn_that_cannot_be_read_is_refused_without_being_shown(dsn):
    """It may hold a password."""
    with pytest.raises(errors.ConfigurationError, match="DSN") as refusal:
        AsyncResults(dsn)
    assert "secret" not in str(refusal.value)


async def test_a_schema_that_is_missing_is_told_to_who_waits(empty_dsn):
    """To wait would not mend it."""
    async with AsyncResults(empty_dsn) as results:
        for _ in range(2):
            with pytest.raises(errors.SchemaMissing, match="pgqueue migrate"):
                await results.of(1).result(timeout=PATIENCE_SECONDS)


async def test_a_notification_of_somebody_else_disturbs_nobody(db, results):
    """Anybody may notify on any channel."""
    taken = claimed(db)
    task = waiting(results, taken.id)
    await until_asleep(db)
    for payload in ("", "garbage", "1,x,²", str(2**70), "*"):
        db.execute("select pg_notify('pgqueue_results', %s)", [payload])
    await until_asleep(db)
    assert not task.done()
    with db.transaction():  # nobody may see it failed: that is an answer too
        fail(db, A, [taken])
        retry(db, taken.id)
    finish(db, A, claim(db), ["all the same"])

    assert await patiently(task) == "all the same"


LISTENS = """select exists (select from pg_stat_activity where datname = current_database()
                            and application_name = 'pgqueue results' and query like 'listen%%')"""


@pytest.fixture
def bounded():
    """A loop that never lets go cannot be timed out from inside: the process's alarm ends it."""

    def ring(*_):
        raise AssertionError("the event loop was held")

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(int(PATIENCE_SECONDS))
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.usefixtures("bounded")
async def test_who_gives_up_before_it_was_looked_for_holds_up_nobody(dsn, db):
    """It leaves its job among those to look at, and nobody who waits for it: that must not be looked at for ever."""
    gone, job = claimed(db), claimed(db)
    finish(db, A, [job], ["found"])
    async with AsyncResults(dsn, poll=NEVER) as results:
        early = waiting(results, gone.id)
        await asyncio.sleep(0)  # it waits now, and there is no connection yet
        early.cancel()
        await asyncio.wait([early])
        await until(lambda: value(db, LISTENS))

        assert await patiently(waiting(results, job.id)) == "found"
