"""make_day: the partition of one day of one half of the archive."""

from datetime import timedelta

import pytest

from tests.sql.archive import archived, make_day, name, partitions, place, today
from tests.sql.verbs import A, claimed, finish, job, value, values

pytestmark = pytest.mark.integration


@pytest.mark.parametrize("half", ["completed", "ended"])
def test_a_day_is_made_once(db, half):
    """Every hour somebody asks for it."""
    made = make_day(db, half, 0)

    assert make_day(db, half, 0) == made
    assert partitions(db, half) == [made]


def test_a_finished_job_lands_in_its_day(db):
    """So that retention can drop the day as a whole."""
    made = make_day(db, "completed", 0)
    taken = claimed(db)

    finish(db, A, [taken])

    assert place(db, taken.id) == f"pgqueue.{made}"


def test_a_job_whose_day_nobody_made_lands_in_the_default_partition(db):
    """No job is refused because a leader was late."""
    taken = claimed(db)

    finish(db, A, [taken])

    assert place(db, taken.id) == "pgqueue.job_archive_completed_default"
    assert job(db, taken.id).state == "completed"


def test_rows_that_came_early_move_in(db):
    """Left in the default partition, they would keep the day from being made for ever."""
    early, other_day = archived(db, "0"), archived(db, "3 days")

    made = make_day(db, "completed", 0)

    assert place(db, early) == f"pgqueue.{made}"
    assert place(db, other_day) == "pgqueue.job_archive_completed_default"


def test_a_day_is_one_of_utc_whatever_the_session_says(db):
    """Two leaders in two time zones must not make days that overlap."""
    for zone in ("Pacific/Kiritimati", "Pacific/Pago_Pago"):
        db.execute(f"set timezone = '{zone}'")
        for day in (0, 1, 2):
            make_day(db, "completed", day)
    db.execute("set timezone = 'UTC'")

    bounds = values(
        db,
        """select pg_get_expr(c.relpartbound, c.oid) from pg_class c
           where c.relname ~ '^job_archive_completed_2' and c.relkind = 'r' order by c.relname""",
    )
    days = [today(db) - timedelta(days=days) for days in (2, 1, 0)]
    assert bounds == [
        f"FOR VALUES FROM ('{day} 00:00:00+00') TO ('{day + timedelta(days=1)} 00:00:00+00')" for day in days
    ]


def test_the_new_partition_has_index_and_comment(db):
    """A job is looked up by its id in every partition, and \\d+ explains each."""
    made = make_day(db, "ended", 0)

    assert made == name("ended", today(db))
    assert value(db, "select count(*) from pg_indexes where tablename = %s and indexdef like '%%(id)'", [made]) == 1
    comment = value(db, "select obj_description(%s::regclass)", [f"pgqueue.{made}"])
    assert comment == f"Jobs of job_archive_ended that finished on {today(db)} (UTC)."
