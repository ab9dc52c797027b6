"""once, recall: a step that a job takes once over all its attempts."""

import psycopg
import pytest

from tests.races.steps import start
from tests.sql.verbs import A, B, cancel, claim, claimed, everything, fail, finish, once, recall, release, retry, value

pytestmark = pytest.mark.integration

LOST, BAD = "PQ002", "PQ001"


def steps(db: psycopg.Connection) -> int:
    return value(db, "select count(*) from pgqueue.once")


def refused(db, sqlstate, verb, *args) -> str:
    """The message of a refusal that changed nothing."""
    before = everything(db), steps(db)
    with pytest.raises(psycopg.Error) as error:
        verb(db, *args)
    assert error.value.sqlstate == sqlstate
    assert (everything(db), steps(db)) == before
    return str(error.value)


def test_the_first_time_and_no_other(db):
    """At most once: the second time whoever asks knows that it was done."""
    job = claimed(db)

    assert once(db, A, job, "mail") == (True, None)
    assert once(db, A, job, "mail") == (False, None)
    assert once(db, A, job, "sms") == (True, None)


def test_each_job_has_its_own(db):
    """Two invoices both send their mail."""
    assert once(db, A, claimed(db), "mail").first
    assert once(db, A, claimed(db), "mail").first


def test_it_holds_over_attempts_and_workers(db):
    """The attempt that comes after a crash is the one it is for."""
    job = claimed(db)
    once(db, A, job, "charge", {"receipt": 7})
    fail(db, A, [job], retry_in="0 s")
    (again,) = claim(db, B)

    assert recall(db, B, again, "charge") == [{"receipt": 7}]
    assert once(db, B, again, "charge", {"receipt": 8}) == (False, {"receipt": 7})


def test_a_step_not_taken_is_told_from_one_that_gave_nothing(db):
    """A memoised None must not run again."""
    job = claimed(db)
    once(db, A, job, "noted")
    db.execute("select pgqueue.once(%s, %s, %s, 'null', 'null')", [A, job.id, job.claims])

    assert recall(db, A, job, "never") == []
    assert recall(db, A, job, "noted") == [None]
    assert value(db, "select value = 'null' from pgqueue.once where key = 'null'")


@pytest.mark.parametrize("moved_on", ["finished", "failed", "released", "claimed again", "another worker"])
def test_a_run_that_lost_its_claim_records_nothing_and_is_told(db, moved_on):
    """Somebody else has the job now, and takes its steps."""
    job = claimed(db)
    worker = B if moved_on == "another worker" else A
    match moved_on:
        case "finished":
            finish(db, A, [job])
        case "failed":
            fail(db, A, [job])
        case "released":
            release(db, A, [job])
        case "claimed again":
            release(db, A, [job])
            claim(db, A)

    assert f"the claim on job {job.id} was lost" in refused(db, LOST, once, worker, job, "mail")
    refused(db, LOST, recall, worker, job, "mail")


def test_of_two_runs_at_once_one_is_first(db, sessions):
    """An old run that does not know yet that it is dead: the second waits for the outcome of the first."""
    first, second = sessions(2)
    job = claimed(db)
    with first.transaction():
        assert once(first, A, job, "mail").first
        late = start(second, lambda: once(second, A, job, "mail"))
        late.waits()
        release(db, A, [job])  # waits for nobody: no row of the job is locked
        (again,) = claim(db, B)
    assert late.result() == (False, None)
    assert once(db, B, again, "mail") == (False, None)


def test_in_a_transaction_it_is_undone_with_it(db):
    """A step of a transactional handler is part of what rolls back."""
    job = claimed(db)
    with db.transaction(force_rollback=True):
        assert once(db, A, job, "mail").first

    assert once(db, A, job, "mail").first


@pytest.mark.parametrize("key", ["", "x" * 256, None])
def test_a_bad_key_is_refused(db, key):
    """The primary key holds it; so do messages."""
    assert "use 1 to 255" in refused(db, BAD, once, A, claimed(db), key)


def test_the_longest_key_and_odd_characters_are_fine(db):
    """Keys are often made of data."""
    job = claimed(db)
    for key in ("x" * 255, "Zoë/'\"%s\n", "🐘" * 255):
        assert once(db, A, job, key).first


def test_a_huge_value_is_refused(db):
    """The database is no place for files."""
    job = claimed(db)
    huge = value(db, "select jsonb_agg(md5(i::text)) from generate_series(1, 40000) i")

    assert "the limit is 1048576" in refused(db, BAD, once, A, job, "huge", huge)


def test_steps_are_kept_as_long_as_their_job_can_run_again(db):
    """A job retried by hand goes on where it was; what can never run again leaves nothing behind."""
    jobs = {state: claimed(db) for state in ("running", "failed", "cancelled", "completed", "gone")}
    for job in jobs.values():
        once(db, A, job, "mail")
    fail(db, A, [jobs["failed"]])
    release(db, A, [jobs["cancelled"]])
    cancel(db, jobs["cancelled"].id)
    finish(db, A, [jobs["completed"]])
    db.execute("delete from pgqueue.job where id = %s", [jobs["gone"].id])

    db.execute("select pgqueue.maintain()")

    left = value(db, "select array_agg(job order by job) from pgqueue.once")
    assert left == [jobs[state].id for state in ("running", "failed", "cancelled")]
    retry(db, jobs["failed"].id)
    (again,) = claim(db, B)
    assert not once(db, B, again, "mail").first
