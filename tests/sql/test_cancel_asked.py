"""cancel_asked: a worker asks whether its running jobs were cancelled."""

import pytest

from tests.sql.verbs import A, B, cancel, claim, claimed, enqueue, release, rows, tokens

pytestmark = pytest.mark.integration


def asked(db, worker, jobs):
    return rows(db, "select * from pgqueue.cancel_asked(%s, %s::bigint[], %s::integer[])", [worker, *tokens(jobs)])


def test_the_cancelled_ones_are_named_with_their_reason(db):
    """Of all that the worker asks about."""
    runs, cancelled, without_reason = [claimed(db) for _ in range(3)]
    cancel(db, cancelled.id, "ordered twice")
    cancel(db, without_reason.id)

    found = asked(db, A, [runs, cancelled, without_reason])

    assert sorted(found) == [
        (cancelled.id, cancelled.claims, "ordered twice"),
        (without_reason.id, without_reason.claims, None),
    ]


def test_the_job_of_another_claim_is_not(db):
    """A cancel must not strike whoever asks about a former attempt, nor another worker."""
    old = claimed(db)
    release(db, A, [old])
    (new,) = claim(db, A)
    cancel(db, new.id)

    assert asked(db, A, [old]) == []
    assert asked(db, B, [new]) == []
    assert [found.claims for found in asked(db, A, [new])] == [new.claims]


def test_what_does_not_run_is_passed_over(db):
    """Finished meanwhile, never there, or waiting."""
    waiting = enqueue(db)
    found = db.execute(
        "select * from pgqueue.cancel_asked(%s, %s::bigint[], %s::integer[])", [A, [waiting, 4711, None], [0, 1, None]]
    )
    assert found.fetchall() == []
    assert asked(db, A, []) == []
