"""set_aside and the view unknown_kinds: a kind without a handler waits, and everybody can see it."""

from datetime import timedelta

import pytest

from tests.sql.contract import columns
from tests.sql.verbs import (
    A,
    claim,
    claimed,
    enqueue,
    enqueue_many,
    job,
    live,
    register,
    row,
    rows,
    set_aside,
    silent_for,
    snooze,
    value,
)

pytestmark = pytest.mark.integration


def pause(db, id):
    """Until it is tried again, from when it was set aside."""
    return value(
        db,
        """select j.run_at - statement_timestamp() from pgqueue.job j where j.id = %s""",
        [id],
    )


def test_the_columns_of_the_view_are_a_contract(db):
    """Alerts read them."""
    assert columns(db, "unknown_kinds")[:4] == [
        ("kind", "text"),
        ("queue", "text"),
        ("jobs", "bigint"),
        ("since", "timestamp with time zone"),
    ]


def test_a_job_without_a_handler_waits_and_its_attempt_is_not_counted(db):
    """A deploy may bring the handler in a minute or in a week: the job must still be there."""
    taken = claimed(db, kind="new_kind", max_attempts=1)

    assert set_aside(db, A, [taken]) == []

    waiting = job(db, taken.id)
    assert (waiting.state, waiting.attempt, live(db, taken.id).claims) == ("scheduled", 0, 1)
    assert waiting.error == "UnknownKind: no worker with a handler for new_kind took this job; it waits for one"
    assert value(db, "select count(*) from pgqueue.attempt") == 0


def test_the_view_shows_each_kind_that_waits(db):
    """So that a typing error in a producer is seen before its users notice."""
    enqueue_many(db, [{"kind": "new_kind"}, {"kind": "new_kind"}, {"kind": "other"}, {"kind": "known"}])
    taken = claim(db, A, 4)
    set_aside(db, A, taken[:3])
    snooze(db, A, taken[3:])

    found = rows(db, "select kind, queue, jobs from pgqueue.unknown_kinds order by kind")

    assert found == [("new_kind", "default", 2), ("other", "default", 1)]


def test_a_job_that_runs_is_no_longer_shown(db):
    """A worker knows it now; the row is history."""
    taken = claimed(db)
    set_aside(db, A, [taken])
    db.execute("update pgqueue.job set run_at = now()")

    claim(db)

    assert rows(db, "select * from pgqueue.unknown_kinds") == []


def test_it_is_tried_again_after_a_minute_and_later_more_seldom(db):
    """A worker that does not say what it knows may have come; but a forgotten kind must not keep workers busy."""
    taken = claimed(db)
    set_aside(db, A, [taken])
    first = pause(db, taken.id)

    pauses = []
    for waited in ("10 minutes", "10 days"):
        db.execute("update pgqueue.job set run_at = now()")
        db.execute("update pgqueue.postponed set since = now() - %s::interval", [waited])
        set_aside(db, A, claim(db))
        pauses.append(pause(db, taken.id))

    assert timedelta(seconds=25) < first <= timedelta(minutes=1)
    assert timedelta(minutes=2) < pauses[0] <= timedelta(minutes=5.1)
    assert timedelta(minutes=29) < pauses[1] <= timedelta(hours=1)
    assert value(db, "select now() - since > interval '9 days' from pgqueue.unknown_kinds") is True


def test_jobs_set_aside_together_do_not_come_back_together(db):
    """A thousand of them would take a thousand places at the same moment."""
    enqueue_many(db, [{"kind": "noop"}] * 20)

    set_aside(db, A, claim(db, A, 20))

    assert value(db, "select count(distinct run_at) from pgqueue.job") == 20


@pytest.mark.parametrize(
    ("kinds", "queue", "silence", "soon"),
    [
        ({"noop": None}, "default", "0 s", True),
        ({"other": None}, "default", "0 s", False),
        ({"noop": None}, "elsewhere", "0 s", False),
        ({"noop": None}, "default", "31 s", False),
    ],
    ids=["knows it", "knows another", "serves another queue", "is silent"],
)
def test_if_another_worker_knows_the_kind_it_is_tried_again_soon(db, sessions, kinds, queue, silence, soon):
    """In the middle of a deploy: the next claim may be by one that knows it."""
    (steward,) = sessions(1)
    silent_for(db, register(steward, kinds=kinds), silence)
    taken = claimed(db, queue=queue)

    set_aside(db, A, [taken])

    assert (pause(db, taken.id) <= timedelta(seconds=1)) is soon


def test_each_job_of_a_batch_has_its_own_kind_and_pause(db, sessions):
    """They are told by their place in arrays."""
    (steward,) = sessions(1)
    register(steward, kinds={"known": None})
    created = enqueue_many(db, [{"kind": kind} for kind in ("unknown", "known", "other", "known")])

    set_aside(db, A, claim(db, A, 4)[::-1])

    soon = [pause(db, id) <= timedelta(seconds=1) for id in created]
    assert soon == [False, True, False, True]
    assert [job(db, id).error.split()[7] for id in created] == ["unknown", "known", "other", "known"]


def test_a_job_that_was_asked_to_stop_ends_instead(db):
    """Nobody wants it any more."""
    taken = claimed(db)
    db.execute("update pgqueue.job set cancel_reason = 'typo'")

    set_aside(db, A, [taken])

    assert (job(db, taken.id).state, job(db, taken.id).error) == ("cancelled", "typo")
    assert row(db, "select * from pgqueue.unknown_kinds") is None


def test_a_job_that_expires_meanwhile_is_not_tried_again(db):
    """Waiting for a handler does not stop the clock."""
    enqueue(db)
    db.execute("update pgqueue.job set expires_at = now() + interval '1 hour'")
    set_aside(db, A, claim(db))
    db.execute("update pgqueue.job set run_at = now(), expires_at = now() - interval '1 s'")

    assert claim(db) == []
