"""find_unique and release_unique: who holds a key, and letting it go."""

import pytest

from tests.sql.keys import find, pass_period, release_key, running, unique
from tests.sql.verbs import A, cancel, claim, everything, fail, finish, retry

pytestmark = pytest.mark.integration


def test_the_holder_of_a_key_is_found_as_long_as_it_holds_it(db):
    """The same answer that the next producer would get."""
    assert find(db) is None
    first = unique(db)
    assert find(db) == first.id
    taken = running(db)
    assert find(db) == first.id
    finish(db, A, [taken])
    assert find(db) is None


def test_a_period_is_found_after_the_job_is_done(db):
    """Why is nothing enqueued? This is why."""
    first = unique(db, unique_for="1 hour")
    finish(db, A, [running(db)])
    assert find(db) == first.id

    pass_period(db)
    assert find(db) is None


def test_until_started_a_running_job_holds_nothing(db):
    """As for the producer."""
    unique(db, unique_until="started")
    running(db)

    assert find(db) is None


def test_a_key_of_another_scope_is_another_key(db):
    """The kind, unless a scope was given."""
    there = unique(db, unique_scope="s")

    assert find(db) is None
    assert find(db, scope="s") == there.id


def test_a_released_key_is_free_and_its_job_stays(db):
    """A stuck job must not block all that come after it; whether it should run is another question."""
    first = unique(db)
    before = everything(db)

    assert release_key(db) == first.id

    assert everything(db) == before
    assert find(db) is None
    assert unique(db).created
    assert len(claim(db, A, 9)) == 2


def test_releasing_a_free_key_does_nothing(db):
    """Twice, or for a key that never was."""
    assert release_key(db) is None
    cancel(db, unique(db).id)
    assert release_key(db) is None


def test_a_retried_job_holds_its_key_again(db):
    """It is the job it was."""
    first = unique(db)
    fail(db, A, [running(db)])
    assert find(db) is None

    retry(db, first.id)

    assert unique(db) == (first.id, False)


def test_a_retry_never_trips_over_a_key_that_another_job_has_now(db):
    """Whoever brings it back wants it run; the key stays with the other."""
    first = unique(db)
    fail(db, A, [running(db)])
    second = unique(db)

    retry(db, first.id)

    assert find(db) == second.id
    assert sorted(job.id for job in claim(db, A, 9)) == sorted([first.id, second.id])
    assert not unique(db).created
