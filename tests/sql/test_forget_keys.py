"""forget_keys: keys that nobody holds are removed, and no others."""

import pytest

from tests.sql.keys import find, forget, pass_period, running, unique
from tests.sql.verbs import A, fail, finish, retry, values

pytestmark = pytest.mark.integration


def keys(db):
    return values(db, "select key from pgqueue.unique_key order by key")


def test_the_key_of_a_job_that_is_done_is_forgotten(db):
    """Else every key there ever was would stay."""
    unique(db, "done")
    finish(db, A, [running(db)])
    unique(db, "running")
    running(db)
    unique(db, "waiting")

    assert forget(db) == 1
    assert keys(db) == ["running", "waiting"]


def test_a_key_within_its_period_is_kept(db):
    """The period outlives the job."""
    unique(db, unique_for="1 hour")
    finish(db, A, [running(db)])

    assert forget(db) == 0
    pass_period(db)
    assert forget(db) == 1


def test_the_key_of_a_dead_letter_is_kept_as_long_as_it_can_be_retried(db):
    """It then holds its key again."""
    first = unique(db)
    fail(db, A, [running(db)])

    assert forget(db) == 0
    retry(db, first.id)
    assert find(db) == first.id


def test_a_key_whose_holder_waits_for_another_is_kept(db):
    """Whoever lets it start reads it there."""
    unique(db)
    finish_later = running(db)
    unique(db, on_conflict="latest")
    finish(db, A, [finish_later])

    assert forget(db) == 0


def test_it_takes_no_more_than_it_is_told(db):
    """A million keys in one transaction would hold their locks for as long."""
    for key in "abc":
        unique(db, key)
        finish(db, A, [running(db)])

    assert values(db, "select pgqueue.forget_keys(2)") == [2]
    assert forget(db) == 1


def test_a_key_that_is_being_taken_over_is_left_alone(db, sessions):
    """By a producer that has not committed yet: we neither wait for it nor take its key away."""
    (producer,) = sessions(1)
    unique(db)
    finish(db, A, [running(db)])
    db.execute("set lock_timeout = 1")

    with producer.transaction():
        again = unique(producer)
        assert forget(db) == 0

    assert (forget(db), find(db)) == (0, again.id)
