"""ring_finished: whoever waits for results is told at the commit that ends the job; nobody waits, nobody rings."""

import re

import psycopg
import pytest

from tests.install import ROOT
from tests.sql.bells import park, settled
from tests.sql.verbs import (
    A,
    abandon,
    cancel,
    claim,
    claimed,
    enqueue,
    enqueue_many,
    exchange,
    fail,
    finish,
    ids,
    register,
    value,
)

pytestmark = pytest.mark.integration


@pytest.fixture
def waiter(sessions) -> psycopg.Connection:
    """Somebody who waits for results and sleeps."""
    (connection,) = sessions(1)
    connection.execute("listen pgqueue_results")
    assert park(connection, "@results")
    return connection


def heard(waiter: psycopg.Connection, db: psycopg.Connection) -> list[str]:
    """What rang since the last look."""
    db.execute("select pg_notify('pgqueue_results', 'end')")
    payloads = []
    for notification in waiter.notifies(timeout=30):
        if notification.payload == "end":
            return payloads
        payloads.append(notification.payload)
    raise AssertionError(f"the connection does not listen; it heard {payloads}")


def test_whatever_ends_a_job_tells_who_waits(db, waiter, sessions):
    """A result that nobody is told of would be waited for until the next look, half a minute later."""
    (steward,) = sessions(1)
    completed, failed, waiting = claimed(db), claimed(db), enqueue(db)
    finish(db, A, [completed])
    assert heard(waiter, db) == [str(completed.id)]
    fail(db, A, [failed])
    assert heard(waiter, db) == [str(failed.id)]
    cancel(db, waiting)
    assert heard(waiter, db) == [str(waiting)]
    abandon(db, A, [abandoned := claimed(db)])
    assert heard(waiter, db) == [str(abandoned.id)]

    worker = register(steward)
    taken = claimed(db, worker)
    exchange(db, worker, [taken])
    assert heard(waiter, db) == [str(taken.id)]


def test_every_verb_that_writes_the_archive_rings():
    """So that the next verb that ends jobs does not forget it."""
    writes = re.compile(r"insert into pgqueue\.job_archive")
    verbs = {path.stem: path.read_text() for path in (ROOT / "sql" / "functions").glob("*.sql")}

    ending = sorted(name for name, text in verbs.items() if writes.search(text))

    assert {"finish", "fail", "abandon", "end_waiting"} <= set(ending)
    assert [name for name in ending if "perform pgqueue.ring_finished(" not in verbs[name]] == []


def test_while_nobody_waits_there_is_no_notification(db, sessions):
    """A NOTIFY takes a lock that all commits of the server share: at each outcome it would queue them up."""
    (listener,) = sessions(1)
    listener.execute("listen pgqueue_results")

    finish(db, A, [claimed(db)])

    assert heard(listener, db) == []


def test_one_notification_names_many_jobs(db, waiter):
    """An exchange hands in hundreds; each as a notification of its own would fill the server's queue of them."""
    enqueue_many(db, [{"kind": "noop"}] * 1_000)
    taken = claim(db, A, 1_000)

    finish(db, A, taken)

    payloads = heard(waiter, db)
    assert len(payloads) == 3
    assert [int(id) for payload in payloads for id in payload.split(",")] == ids(taken)


def test_the_longest_ids_fit_into_a_payload(db, waiter):
    """A payload that is too long would be an error, and undo the outcomes."""
    most = 2**63 - 1
    db.execute("select pgqueue.ring_finished(array_fill(%s::bigint, array[1950]))", [most])

    assert [len(payload.split(",")) for payload in heard(waiter, db)] == [390]  # five alike are sent once


def test_so_many_jobs_that_it_is_cheaper_to_look_at_all_are_one_word(db, waiter):
    """The waiter looks at all that it waits for."""
    db.execute("select pgqueue.ring_finished(array(select generate_series(1, 10000)))")

    assert heard(waiter, db) == ["*"]


def test_nobody_is_told_of_what_was_rolled_back(db, sessions, waiter):
    """The job runs on."""
    (other,) = sessions(1)
    taken = claimed(db)
    with other.transaction(force_rollback=True):
        finish(other, A, [taken])

    assert heard(waiter, db) == []


def test_a_waiter_is_not_settled_while_a_finisher_that_missed_it_is_in_its_transaction(db, sessions):
    """The finisher looked before the waiter parked, so it will not ring: the waiter must look until it has ended."""
    finisher, waiter = sessions(2)
    taken = claimed(db)
    with finisher.transaction():
        finish(finisher, A, [taken])
        assert park(waiter, "@results") is False
        assert settled(waiter, "@results") is False

    assert settled(waiter, "@results") is True
    assert value(db, "select count(*) from pgqueue.outcomes(%s)", [[taken.id]]) == 1


def test_workers_that_sleep_are_not_rung_for_results(db, sessions, waiter):
    """Nor waiters for new jobs: the key is no queue's."""
    with pytest.raises(psycopg.Error, match="queue name"):
        enqueue(db, queue="@results")
    enqueue(db)

    assert heard(waiter, db) == []
