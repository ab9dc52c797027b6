"""hold: a worker and a server that crashed agree again on what is held."""

import psycopg
import pytest

from tests.sql.verbs import (
    B,
    claim,
    enqueue_many,
    finish,
    hold,
    ids,
    job,
    live,
    register,
    release,
    row,
    silent_for,
    value,
)

pytestmark = pytest.mark.integration


def forget(db: psycopg.Connection, id: int) -> None:
    """The job's row as it was before its last claim: what a crash of the server makes of it."""
    db.execute(
        """update pgqueue.job set worker = null, claimed_at = null, claims = claims - 1, attempt = attempt - 1
           where id = %s""",
        [id],
    )


@pytest.fixture
def worker(sessions) -> int:
    """One that is registered, and lives as long as the test."""
    (steward,) = sessions(1)
    return register(steward)


def test_what_it_holds_it_holds(db, worker):
    """The usual case: the connection was lost and nothing else."""
    enqueue_many(db, [{"kind": "noop"}] * 3)
    held = claim(db, worker, 3)
    before = [live(db, id) for id in ids(held)]

    assert hold(db, worker, held) == []
    assert [live(db, id) for id in ids(held)] == before


def test_a_claim_that_the_server_forgot_is_given_back_to_its_run(db, worker):
    """The run goes on and nobody else has the job: nobody else should take it."""
    enqueue_many(db, [{"kind": "noop"}])
    held = claim(db, worker)
    before = row(db, "select worker, claims, attempt from pgqueue.job")
    forget(db, held[0].id)

    assert hold(db, worker, held) == []
    assert row(db, "select worker, claims, attempt from pgqueue.job") == before
    assert claim(db, B) == []
    assert finish(db, worker, held) == []


def test_a_forgotten_claim_that_another_worker_has_taken_is_lost(db, worker):
    """Under the same number, so it is the worker that tells them apart. The first run must stop."""
    enqueue_many(db, [{"kind": "noop"}])
    held = claim(db, worker)
    forget(db, held[0].id)
    (taken,) = claim(db, B)
    assert taken.claims == held[0].claims

    assert hold(db, worker, held) == ids(held)
    assert live(db, held[0].id).worker == B


def test_what_was_recorded_released_or_removed_is_not_held(db, worker):
    """Whatever happened to it, it is not this run's any more; and nothing is written."""
    enqueue_many(db, [{"kind": "noop"}] * 3)
    held = claim(db, worker, 3)
    finish(db, worker, held[:1])
    release(db, worker, held[1:2])
    db.execute("delete from pgqueue.job where id = %s", [held[2].id])

    assert hold(db, worker, held) == ids(held)
    assert job(db, held[1].id).state == "ready"


def test_a_worker_that_was_declared_dead_holds_nothing(db, worker):
    """Its claims were given to others: it must not take one back."""
    enqueue_many(db, [{"kind": "noop"}])
    held = claim(db, worker)
    silent_for(db, worker, "3 minutes")
    assert value(db, "select count(*) from pgqueue.rescue(p_grace => '0 s')") == 1

    with pytest.raises(psycopg.Error) as refused:
        hold(db, worker, held)

    assert refused.value.sqlstate == "PQ005"


def test_holding_nothing_is_nothing(db, worker):
    """An idle worker asks too."""
    assert hold(db, worker, []) == []
