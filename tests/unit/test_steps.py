"""What is done about moments that are due: on time, missed, waited for."""

import itertools
from datetime import UTC, datetime, timedelta

import pytest

from pgqueue.calls.schedules import DueSchedule
from pgqueue.worker.steps import MOST_STEPS, steps

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


def ago(**length):
    return NOW - timedelta(**length)


def due(since, **given):
    """An interval of a minute that stands at `since`."""
    base = {"name": "a", "revision": 1, "cron": None, "every": 60.0, "tz": "UTC", "start_at": None, "end_at": None}
    rest = {"missed": 1, "overlap": "allow", "since": since, "next_run_at": since, "watched_at": None, "now": NOW}
    return DueSchedule(**{**base, **rest, **given})


def fired(schedule, now=NOW):
    """Moments that fire, in seconds before now."""
    return [(now - step.fire_at).total_seconds() for step in steps(schedule, now) if step.fire_at is not None]


def goes_on(schedule, now=NOW):
    found = steps(schedule, now)
    for step, following in itertools.pairwise(found):
        assert step.next_run_at == following.due_at
    return found[-1].next_run_at


def test_a_moment_that_is_due_fires_and_the_next_is_set():
    """The common case."""
    schedule = due(NOW)
    assert (fired(schedule), goes_on(schedule)) == ([0], NOW + timedelta(minutes=1))


def test_several_moments_within_one_look_fire_each():
    """A new owner takes a few seconds to come: nothing of a one-second schedule is lost with the old one."""
    assert fired(due(ago(seconds=5), every=1.0, missed=0)) == [5, 4, 3, 2, 1, 0]


@pytest.mark.parametrize(("missed", "expected"), [(0, []), (1, [60]), (3, [180, 120, 60]), (1000, [240, 180, 120, 60])])
def test_missed_moments_are_made_up_for_as_the_schedule_says(missed, expected):
    """Skip, once, or all up to a number: the last ones, the oldest of them first."""
    schedule = due(ago(minutes=4), missed=missed)
    now = NOW - timedelta(seconds=1)

    assert fired(schedule, now) == [second - 1 for second in expected]
    assert goes_on(schedule, now) == NOW


def test_missed_moments_of_years_do_not_flood():
    """Nor does anybody count through them."""
    assert fired(due(ago(days=3650), every=1.0, missed=2), NOW) == [11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0]
    assert fired(due(ago(days=3650), cron="* * * * * *", every=None, missed=0)) == [9, 8, 7, 6, 5, 4, 3, 2, 1, 0]
    assert len(steps(due(ago(hours=5), every=1.0, missed=1000), NOW)) == MOST_STEPS


def test_a_missed_moment_of_an_expression_is_its_own():
    """The job is told for which day it is."""
    schedule = due(ago(days=3, hours=3), cron="0 9 * * *", every=None, missed=2)
    found = steps(schedule, NOW)

    assert [step.fire_at for step in found] == [ago(days=1, hours=3), ago(hours=3)]
    assert goes_on(schedule) == NOW + timedelta(hours=21)


def test_what_waits_for_the_run_before_is_not_missed():
    """Its owner was there all the time. One at a time, since the next waits for this one."""
    waiting = due(ago(minutes=30), overlap="queue", missed=0, watched_at=ago(seconds=1))
    assert fired(waiting) == [1800]
    assert goes_on(waiting) == ago(minutes=29)

    left_alone = waiting._replace(next_run_at=ago(minutes=9), watched_at=ago(minutes=10))
    assert fired(left_alone) == []
    assert goes_on(left_alone) == NOW


def test_nothing_fires_after_the_end():
    """Also of what was missed before it."""
    schedule = due(ago(minutes=10), end_at=ago(minutes=8), missed=1000)

    assert fired(schedule) == [600, 540, 480]
    assert goes_on(schedule) is None
