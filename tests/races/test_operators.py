"""Two operators, or an operator and a leader, meet at one job or one archive."""

import psycopg
import pytest

from tests.races.steps import start
from tests.sql.archive import archived, make_day, partitions, place
from tests.sql.verbs import A, cancel, claim, claimed, enqueue, fail, finish, retry, state, value

pytestmark = pytest.mark.integration


def refused(step) -> str:
    with pytest.raises(psycopg.Error) as error:
        step.result()
    assert error.value.sqlstate == "PQ004"
    return error.value.diag.message_primary


def test_of_two_cancels_the_second_is_told_that_it_is_cancelled(db, sessions):
    """One outcome, with the first reason."""
    one, other = sessions(2)
    id = enqueue(db)

    with one.transaction():
        cancel(one, id, "first")
        cancelling = start(other, lambda: cancel(other, id, "second"))
        cancelling.waits()

    assert f"job {id} is cancelled" in refused(cancelling)
    assert value(db, "select array_agg(error) from pgqueue.job_archive") == ["first"]


def test_of_two_retries_one_brings_the_job_back(db, sessions):
    """Two live jobs with one id would be worse than any error."""
    one, other = sessions(2)
    dead = claimed(db)
    fail(db, A, [dead])

    with one.transaction():
        retry(one, dead.id)
        retrying = start(other, lambda: retry(other, dead.id))
        retrying.waits()

    assert f"job {dead.id} is " in refused(retrying)
    assert state(db, dead.id) == "ready"
    assert value(db, "select count(*) from pgqueue.jobs") == 1


def test_a_retry_that_waits_for_one_that_rolls_back_takes_its_place(db, sessions):
    """The job is dead after all."""
    one, other = sessions(2)
    dead = claimed(db)
    fail(db, A, [dead])

    with one.transaction(force_rollback=True):
        retry(one, dead.id)
        retrying = start(other, lambda: retry(other, dead.id))
        retrying.waits()

    retrying.result()
    assert state(db, dead.id) == "ready"


def test_a_cancel_does_not_see_a_retry_under_way(db, sessions):
    """For everybody else the job is still failed, and that is what it says."""
    one, other = sessions(2)
    dead = claimed(db)
    fail(db, A, [dead])

    with one.transaction():
        retry(one, dead.id)
        with pytest.raises(psycopg.Error, match="is failed: only waiting and running jobs"):
            cancel(other, dead.id)

    cancel(other, dead.id)
    assert state(db, dead.id) == "cancelled"


def test_a_retry_does_not_see_a_cancel_under_way(db, sessions):
    """The other way round."""
    one, other = sessions(2)
    id = enqueue(db)

    with one.transaction():
        cancel(one, id)
        with pytest.raises(psycopg.Error, match="is ready: only failed"):
            retry(other, id)

    retry(other, id)
    assert state(db, id) == "ready"


def test_a_claim_does_not_see_a_retry_under_way(db, sessions):
    """It is found once it is committed, and under a new claim."""
    operator, lane = sessions(2)
    dead = claimed(db)
    fail(db, A, [dead])

    with operator.transaction():
        retry(operator, dead.id)
        assert claim(lane) == []

    (taken,) = claim(lane)
    assert (taken.id, taken.claims) == (dead.id, 2)


def test_a_second_caller_of_maintain_returns_at_once(db, sessions):
    """Two leaders for a moment: neither waits for the other's locks."""
    one, other = sessions(2)
    other.execute("set lock_timeout = 1")

    with one.transaction():
        one.execute("select pgqueue.maintain()")
        other.execute("select pgqueue.maintain()")

    assert len(partitions(db, "completed")) == 4


def test_a_job_that_finishes_while_its_day_is_made_moves_in(db, sessions):
    """A fresh installation under load: the row came into the default partition just before it was closed."""
    lane, leader = sessions(2)
    taken = claimed(db)

    with lane.transaction():
        finish(lane, A, [taken])
        making = start(leader, lambda: leader.execute("select pgqueue.maintain()"))
        making.waits()

    making.result()
    assert place(db, taken.id).startswith("pgqueue.job_archive_completed_2")


def test_a_job_that_finishes_while_its_day_is_being_made_waits_and_lands_in_it(db, sessions):
    """Its way to the default partition was open a moment before. The lane's plan is from then, too."""
    leader, lane = sessions(2)
    finish(lane, A, [claimed(db)])
    taken = claimed(db)

    with leader.transaction():
        leader.execute("select pgqueue.maintain()")
        finishing = start(lane, lambda: finish(lane, A, [taken]))
        finishing.waits()

    assert finishing.result() == []
    assert place(db, taken.id).startswith("pgqueue.job_archive_completed_2")


def test_jobs_finish_while_tomorrow_is_made(db, sessions):
    """Every day, under full load: nobody waits whose own day is there."""
    leader, lane = sessions(2)
    make_day(db, "completed", 0)
    lane.execute("set lock_timeout = 1")
    taken = claimed(db)

    with leader.transaction():
        make_day(leader, "completed", -1)
        assert finish(lane, A, [taken]) == []

    assert state(db, taken.id) == "completed"


def test_a_long_read_of_the_archive_makes_maintain_give_up_and_change_nothing(db, sessions):
    """Waiting for it would block every worker behind it."""
    reader, leader = sessions(2)
    day = make_day(db, "completed", 3)
    old = archived(db, "3 days")

    with reader.transaction():
        reader.execute("select count(*) from pgqueue.jobs")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            leader.execute("select pgqueue.maintain()")

    assert partitions(db, "completed") == [day]
    assert place(db, old) == f"pgqueue.{day}"
