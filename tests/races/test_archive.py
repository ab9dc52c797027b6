"""Who reads the views is never in the way of the archive's upkeep, nor it in theirs."""

import contextlib

import psycopg
import pytest

from tests.races.steps import start
from tests.sql.verbs import value

pytestmark = pytest.mark.integration


def test_a_reader_in_the_middle_of_its_locks_is_not_ended_by_upkeep(sessions):
    """The planner locks one partition after the other. Upkeep in the other order would be a deadlock, and Postgres ends
    the one who waited longer: `pgqueue status`, say, in the second in which the first worker starts."""
    reader, leader = sessions(2)
    with reader.transaction():
        reader.execute("lock table pgqueue.job_archive_ended in access share mode")
        upkeep = start(leader, lambda: leader.execute("select pgqueue.maintain()"))
        upkeep.waits()

        assert value(reader, "select count(*) from pgqueue.jobs") == 0

    with contextlib.suppress(psycopg.errors.LockNotAvailable):  # if it did not want to wait that long
        upkeep.result()


def test_upkeep_gives_up_before_anybody_waits_for_a_second(sessions):
    """Everybody who comes after it waits behind it, and it waits for a report that takes an hour."""
    reader, leader = sessions(2)
    with reader.transaction():
        reader.execute("select count(*) from pgqueue.jobs")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            leader.execute("select pgqueue.maintain()")
    leader.execute("select pgqueue.maintain()")
