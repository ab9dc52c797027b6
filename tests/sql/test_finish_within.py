"""finish_within: the outcome of a handler in the handler's own transaction."""

import psycopg
import pytest
from psycopg.types.json import Jsonb

from tests.sql.verbs import A, B, claim, claimed, enqueue_many, everything, job, release, tokens, value

pytestmark = pytest.mark.integration

MARK = "7:1:1"


@pytest.fixture
def handler(sessions):
    """A session in the transaction that a worker began for a handler; its table is `effect`."""
    (session,) = sessions(1)
    session.execute("create table effect (n integer)")
    session.autocommit = False
    session.execute(f"set local pgqueue.handler = '{MARK}'")
    yield session
    session.rollback()


def finish_within(session, worker, jobs, results=None, mark=MARK):
    given = None if results is None else [Jsonb(result) for result in results]
    session.execute(
        "select pgqueue.finish_within(%s, %s::bigint[], %s::integer[], %s::jsonb[], %s)",
        [worker, *tokens(jobs), given, mark],
    )


def test_the_outcome_and_the_handlers_writes_are_committed_together(db, handler):
    """Exactly once, in this database."""
    taken = claimed(db)
    handler.execute("insert into effect values (1)")
    finish_within(handler, A, [taken], [{"sum": 1}])

    assert (job(db, taken.id).state, value(db, "select count(*) from effect")) == ("running", 0)
    handler.commit()
    assert (job(db, taken.id).state, value(db, "select count(*) from effect")) == ("completed", 1)
    assert job(db, taken.id).result == {"sum": 1}


def test_a_lost_claim_undoes_all_of_it(db, handler):
    """Whoever has the job now writes it; nobody can forget to look at an answer: it is an error."""
    taken = claimed(db)
    handler.execute("insert into effect values (1)")
    release(db, A, [taken])
    claim(db, B)
    before = everything(db)

    with pytest.raises(psycopg.Error, match=f"the claim on job {taken.id} was lost") as error:
        finish_within(handler, A, [taken])
    handler.commit()

    assert error.value.sqlstate == "PQ002"
    assert (everything(db), value(db, "select count(*) from effect")) == (before, 0)


def test_one_lost_claim_of_many_undoes_all(db, handler):
    """What the handler wrote for one cannot be told from what it wrote for another."""
    enqueue_many(db, [{"kind": "noop"}] * 3)
    taken = claim(db, A, 3)
    release(db, A, taken[1:2])

    with pytest.raises(psycopg.Error, match=f"job {taken[1].id} was lost"):
        finish_within(handler, A, taken)
    handler.commit()

    assert [job(db, one.id).state for one in taken] == ["running", "ready", "running"]


@pytest.mark.parametrize("how", ["commit", "rollback"])
def test_a_transaction_that_is_not_the_handlers_is_refused(db, handler, how):
    """What it wrote before its own commit would stay, whatever became of the job."""
    taken = claimed(db)
    handler.execute("insert into effect values (1)")
    handler.execute(how)

    with pytest.raises(psycopg.Error, match="committed or rolled back by its handler") as error:
        finish_within(handler, A, [taken])
    handler.commit()

    assert error.value.sqlstate == "PQ006"
    assert job(db, taken.id).state == "running"


def test_a_savepoint_of_the_handler_is_its_own_business(db, handler):
    """Undoing a part is fine."""
    taken = claimed(db)
    handler.execute("insert into effect values (1)")
    with handler.transaction(force_rollback=True):
        handler.execute("insert into effect values (2)")
    finish_within(handler, A, [taken])
    handler.commit()

    assert job(db, taken.id).state == "completed"
    assert value(db, "select array_agg(n) from effect") == [1]


def test_a_session_that_freezes_before_its_commit_is_ended_by_the_server(db, handler):
    """It has the job's row: a rescue, which is made by a living worker's only connection, waits for it."""
    taken = claimed(db)
    finish_within(handler, A, [taken])

    assert value(handler, "show idle_in_transaction_session_timeout") == "10s"
    handler.rollback()
    assert value(handler, "show idle_in_transaction_session_timeout") == "0"
