"""drop_days: retention, by whole days."""

import pytest

from tests.sql.archive import archived, kept, make_day, partitions, place
from tests.sql.verbs import value

pytestmark = pytest.mark.integration


def drop_days(db, half="completed", keep="1 day"):
    db.execute("select pgqueue.drop_days(%s, %s)", [half, keep])


def test_a_day_goes_when_its_last_moment_is_old_enough(db):
    """Not earlier: what is kept for a day is kept for at least a day."""
    days = [make_day(db, "completed", days_ago) for days_ago in (4, 3, 2, 1, 0)]
    gone, stays = archived(db, "3 days"), archived(db, "1 day")

    drop_days(db)

    assert partitions(db, "completed") == days[3:]
    assert kept(db) == [stays]
    assert gone not in kept(db)


def test_the_other_half_has_a_time_of_its_own(db):
    """Dead letters wait for somebody to look at them."""
    make_day(db, "completed", 5)
    make_day(db, "ended", 5)
    archived(db, "5 days")
    letter = archived(db, "5 days", "failed")

    drop_days(db, "completed", "1 day")
    drop_days(db, "ended", "14 days")

    assert kept(db) == [letter]


def test_rows_in_the_default_partition_are_deleted_one_by_one(db):
    """Nobody made their day; they must not stay for ever."""
    archived(db, "25 hours")
    young = archived(db, "23 hours")

    drop_days(db)

    assert kept(db) == [young]


def test_a_queue_that_keeps_longer_keeps_its_rows(db):
    """They move to the default partition when their day is dropped."""
    db.execute("insert into pgqueue.queue (name, keep_completed) values ('audit', '10 days')")
    make_day(db, "completed", 5)
    long, short = archived(db, "5 days", queue="audit"), archived(db, "5 days")

    drop_days(db)

    assert kept(db) == [long]
    assert short != long
    assert place(db, long) == "pgqueue.job_archive_completed_default"
    drop_days(db)
    assert kept(db) == [long]


def test_a_queue_that_keeps_longer_does_not_keep_for_ever(db):
    """Its own time comes."""
    db.execute("insert into pgqueue.queue (name, keep_completed) values ('audit', '10 days')")
    make_day(db, "completed", 12)
    archived(db, "12 days", queue="audit")
    archived(db, "11 days", queue="audit")

    drop_days(db)

    assert kept(db) == []


def test_a_queue_that_keeps_shorter_loses_its_rows_alone(db):
    """Out of the middle of a day that stays."""
    db.execute("insert into pgqueue.queue (name, keep_completed) values ('noise', '1 hour')")
    make_day(db, "completed", 0)
    archived(db, "2 hours", queue="noise")
    young, other = archived(db, "1 min", queue="noise"), archived(db, "2 hours")

    drop_days(db)

    assert kept(db) == [young, other]


def test_a_setting_for_one_half_leaves_the_other_at_its_default(db):
    """A null says: as usual."""
    db.execute("insert into pgqueue.queue (name, keep_ended) values ('mail', '0')")
    completed, ended = archived(db, "1 min", queue="mail"), archived(db, "1 min", "cancelled", queue="mail")

    drop_days(db, "completed", "1 day")
    drop_days(db, "ended", "14 days")

    assert kept(db) == [completed]
    assert ended != completed


def test_nothing_to_drop_is_no_error(db):
    """Every hour but one of the day."""
    drop_days(db)

    assert value(db, "select count(*) from pgqueue.job_archive") == 0
