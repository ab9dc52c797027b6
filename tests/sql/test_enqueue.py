"""enqueue: one job, in the caller's transaction."""

from datetime import timedelta

import psycopg
import pytest

from tests.sql.verbs import (
    A,
    claim,
    claimed,
    enqueue,
    enqueue_many,
    everything,
    finish,
    ids,
    job,
    live,
    row,
    value,
    values,
)

pytestmark = pytest.mark.integration


def test_a_kind_is_all_that_a_job_needs(db):
    """The defaults are the contract of every caller that leaves an option out."""
    created = row(db, "select * from pgqueue.enqueue('noop')")

    stored = live(db, created.id)
    assert created.created is True
    assert (stored.kind, stored.queue, stored.args) == ("noop", "default", {})
    assert (stored.priority, stored.attempt, stored.max_attempts, stored.claims) == (5, 0, 20, 0)
    assert (stored.timeout, stored.worker, stored.claimed_at) == (None, None, None)
    assert stored.run_at == stored.created_at
    assert job(db, created.id).state == "ready"


def test_every_option_is_stored_as_given(db):
    """Named notation is how people call it from psql and triggers."""
    id = value(
        db,
        """select id from pgqueue.enqueue('charge', '{"invoice_id": 42}', queue => 'billing', priority => 0,
               run_at => '2030-01-01 12:00+00', max_attempts => 3, timeout => '90 s')""",
    )

    stored = live(db, id)
    assert (stored.kind, stored.args, stored.queue, stored.priority) == ("charge", {"invoice_id": 42}, "billing", 0)
    assert stored.run_at.isoformat().startswith("2030-01-01T")
    assert (stored.max_attempts, stored.timeout) == (3, timedelta(seconds=90))
    assert job(db, id).state == "scheduled"


def test_delay_counts_from_now(db):
    """Not from the start of a transaction that may be an hour old."""
    with db.transaction():
        started = value(db, "select now()")
        stored = live(db, enqueue(db, delay="1 hour"))

    assert stored.run_at - stored.created_at == timedelta(hours=1)
    assert stored.created_at > started


def test_a_job_exists_when_its_transaction_commits(db, sessions):
    """Not before: a worker must never see a job whose business rows are not there yet."""
    (worker,) = sessions(1)
    with db.transaction():
        id = enqueue(db)
        assert claim(worker) == []

    assert ids(claim(worker)) == [id]


def test_a_job_never_existed_when_its_transaction_rolls_back(db):
    """The order was not placed, so no card is charged."""
    with db.transaction(force_rollback=True):
        enqueue(db)
        enqueue_many(db, [{"kind": "noop"}])

    assert everything(db) == []


def test_a_savepoint_takes_back_only_its_own_jobs(db):
    """Frameworks wrap each step in a savepoint; the rest of the transaction stands."""
    with db.transaction():
        kept = enqueue(db)
        with db.transaction(force_rollback=True):
            enqueue(db)
        also_kept = enqueue(db)

    assert values(db, "select id from pgqueue.job order by id") == [kept, also_kept]


def test_a_refused_job_takes_nothing_back_that_a_savepoint_kept_apart(db):
    """A caller may catch the error and go on with its transaction."""
    with db.transaction():
        kept = enqueue(db)
        with pytest.raises(psycopg.Error, match="priority 12"), db.transaction():
            enqueue(db, priority=12)

    assert values(db, "select id from pgqueue.job") == [kept]


def test_a_job_of_a_long_transaction_does_not_sort_before_what_was_committed_meanwhile(db, sessions):
    """By now() it would: an import of an hour would put its jobs before everything of that hour."""
    (other,) = sessions(1)
    with db.transaction():
        db.execute("select now()")
        committed_meanwhile = enqueue(other)
        late = enqueue(db)

    assert ids(claim(db, limit=2)) == [committed_meanwhile, late]


@pytest.mark.parametrize("level", ["read uncommitted", "read committed", "repeatable read", "serializable"])
def test_it_works_at_every_isolation_level(db, sessions, level):
    """The application chooses its level for its own rows; the queue must not make it fail."""
    (other,) = sessions(1)
    db.execute(f"set default_transaction_isolation = '{level}'")
    with db.transaction():
        db.execute("select count(*) from pgqueue.job")
        enqueue(other)
        first = enqueue(db)
        enqueue(other)
        (second,) = enqueue_many(db, [{"kind": "noop"}])

    assert {first, second} <= set(values(db, "select id from pgqueue.job"))


def test_a_trigger_can_enqueue(db):
    """A job for each row that changes, whoever changes it."""
    db.execute("create table invoice (id integer)")
    db.execute(
        """create function charge() returns trigger language plpgsql as $$
           begin
               perform pgqueue.enqueue('charge', jsonb_build_object('invoice_id', new.id), queue => 'billing');
               return new;
           end $$"""
    )
    db.execute("create trigger charge after insert on invoice for each row execute function charge()")

    db.execute("insert into invoice values (1), (2)")

    assert [job.args for job in claim(db, limit=9, queue="billing")] == [{"invoice_id": 1}, {"invoice_id": 2}]


def test_it_works_without_pgqueue_in_the_search_path(db):
    """And with an application's own tables of the same names in it."""
    db.execute("create schema app")
    db.execute("create table app.job (id text)")
    db.execute("set search_path = app")

    assert live(db, enqueue(db)).kind == "noop"


@pytest.mark.parametrize("moment", ["-infinity", "infinity", "0044-03-15 BC", "10000-01-01"])
def test_a_run_at_that_clients_cannot_read_is_refused(db, moment):
    """Claimed by a worker whose language has no such date, it would fail the whole batch, again and again."""
    with pytest.raises(psycopg.Error, match=r"run_at .* out of range"):
        enqueue(db, run_at=moment)


def test_durations_that_clients_cannot_read_are_refused(db):
    """Python's timedelta ends at 2.7 million years, and a date in Python at the year 9999."""
    with pytest.raises(psycopg.Error, match=r"timeout .* out of range"):
        enqueue(db, timeout="5000000 years")
    with pytest.raises(psycopg.Error, match=r"delay .* out of range"):
        enqueue(db, delay="9000 years")
    with pytest.raises(psycopg.Error, match=r"delay .* out of range"):
        enqueue(db, delay="-9000 years")


def test_what_else_a_handler_is_told_travels_with_the_job(db):
    """Schedules and versions of arguments are told to the handler, not mixed with its arguments."""
    taken = claimed(db, meta={"due_at": "2030-01-01"})
    finish(db, A, [taken])

    assert taken.meta == {"due_at": "2030-01-01"}
    assert value(db, "select meta from pgqueue.job_archive") == {"due_at": "2030-01-01"}
