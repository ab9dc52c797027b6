"""Schedules as values and as decorators."""

from datetime import UTC, datetime, timedelta

import pytest

from pgqueue import Job, Schedule, cron, every, job
from pgqueue.errors import ConfigurationError, InvalidSchedule
from pgqueue.schedule import declared

NOW = datetime(2026, 1, 1, 12, 30, tzinfo=UTC)


def test_decorators_go_above_and_below_job():
    """Nobody should have to remember which."""

    @cron("0 9 * * mon-fri", tz="Europe/Berlin")
    @job(queue="reports")
    def above(): ...

    @job(queue="reports")
    @every(minutes=5)
    def below(): ...

    first, second = declared()
    assert (first.name, first.cron, first.tz, first.job.queue) == (
        "above",
        "0 9 * * mon-fri",
        "Europe/Berlin",
        "reports",
    )
    assert (second.name, second.every, second.job.kind) == ("below", 300, "below")
    assert above() is None


def test_one_task_has_several_schedules_under_names_of_their_own():
    """With arguments of their own, which fit its type hints."""

    @every(hours=1, name="hourly", args={"month": 1}, missed="skip", overlap="skip", jitter=5)
    @cron("@daily")
    @job
    def report(month: int = 0): ...

    assert [(each.name, each.job.args) for each in declared()] == [("hourly", {"month": 1}), ("report", {})]
    assert (declared()[0].missed_runs, declared()[0].overlap, declared()[0].jitter) == (0, "skip", 5)


@pytest.mark.parametrize("length", [{"minutes": 5}, {"hours": 0, "minutes": 4, "seconds": 60}])
def test_every_adds_its_units(length):
    """So a length reads as one says it."""

    @job
    @every(**length)
    def polls(): ...

    assert declared()[0].every == 300


@pytest.mark.parametrize(
    ("decorator", "place"),
    [
        (lambda: cron("99 9 * * *"), "@cron: cron expression '99 9 * * *': minute '99' (field 1) is wrong"),
        (lambda: cron("0 9 * * *", tz="Europe/Berln"), "@cron: time zone 'Europe/Berln' is unknown"),
        (lambda: every(), "@every: every 0.0"),
        (lambda: every(seconds=0.5), "is too short"),
        (lambda: every(5, minutes=1), "and units as well"),
        (lambda: every(minutes=-1), "@every: every -60"),
        (lambda: every(minutes="5"), "give numbers of days, hours, minutes and seconds"),
    ],
)
def test_a_wrong_time_is_refused_where_it_stands(decorator, place):
    """At import, before any worker runs."""
    with pytest.raises(ConfigurationError) as refused:
        decorator()

    assert place in str(refused.value)


@pytest.mark.parametrize(
    ("options", "place"),
    [
        ({"args": {"month": "x"}}, "month: Input should be a valid integer"),
        ({"args": {"day": 1}}, "day"),
        ({"args": [1]}, "must be a mapping"),
        ({"name": "a b"}, "schedule name 'a b' has a space"),
        ({"missed": "often"}, "missed 'often' is out of range; use 'skip', 'once' or 0 to 1000"),
        ({"missed": 1001}, "missed 1001 is out of range"),
        ({"overlap": "maybe"}, "overlap 'maybe' is unknown"),
        ({"max_runs": 0}, "max_runs 0 is out of range"),
        ({"jitter": 100_000}, "jitter 100000 is out of range"),
        ({"jitter": -1}, "jitter"),
        ({"start_at": datetime(2026, 1, 1)}, "names no moment"),  # noqa: DTZ001
        ({"start_at": "2026-01-01"}, "names no moment"),
        ({"start_at": NOW, "end_at": NOW - timedelta(days=1)}, "is before start_at"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_wrong_option_is_refused_with_the_place_that_is_wrong(options, place):
    """Named with the function it stands above."""

    @job
    def report(month: int = 0): ...

    with pytest.raises(ConfigurationError) as refused:
        every(minutes=5, **options)(report)

    assert place in str(refused.value)
    assert "report" in str(refused.value)


def test_two_schedules_of_one_name_are_refused():
    """The second would change the first, at each start."""

    @cron("@daily")
    @every(minutes=5)
    @job
    def report(): ...

    with pytest.raises(ConfigurationError, match=r"two schedules are called 'report'.*give one of them name"):
        declared()


@pytest.mark.parametrize("target", [5, "report", int])
def test_a_decorator_goes_on_a_function(target):
    """Anything else would never run."""
    with pytest.raises(ConfigurationError, match="it goes on a function"):
        every(minutes=5)(target)


@pytest.mark.parametrize(
    ("given", "place"),
    [
        ({}, "needs cron or every"),
        ({"cron": "@daily", "every": 5}, "needs cron or every"),
        ({"every": 60, "tz": "Europe/Berlin"}, "a time zone goes with cron"),
        ({"every": 60, "job": "report"}, "is a str; give task.job"),
        ({"every": 60, "job": Job("report", delay=5)}, "run_at or a delay"),
        ({"every": 60, "name": None}, "schedule name None is a NoneType"),
        ({"every": 60, "name": "a\0"}, "schedule name"),
        ({"cron": 5}, "is a int, not a str"),
        ({"every": 60, "missed": True}, "missed True is out of range"),
        ({"every": 60, "missed": []}, "missed [] is out of range"),
        ({"every": 60, "overlap": None}, "overlap None is unknown"),
    ],
)
def test_a_schedule_that_cannot_work_is_refused(given, place):
    """When it is made, not when it is due."""
    with pytest.raises(InvalidSchedule) as refused:
        Schedule(**{"name": "nightly", "job": Job("report"), **given})

    assert place in str(refused.value)


def test_its_moments_can_be_seen_before_it_is_saved():
    """With start, end and number of runs."""
    hourly = Schedule("a", Job("b"), cron="@hourly", end_at=NOW + timedelta(hours=2))
    thrice = Schedule("a", Job("b"), every=3600, start_at=NOW - timedelta(minutes=90), max_runs=3)
    later = Schedule("a", Job("b"), cron="0 * * * *", start_at=datetime(2026, 1, 2, 9, tzinfo=UTC))

    assert [moment.hour for moment in hourly.moments(NOW)] == [13, 14]
    assert [moment.strftime("%H:%M") for moment in thrice.moments(NOW)] == ["13:00", "14:00", "15:00"]
    assert later.first_run_at(NOW) == datetime(2026, 1, 2, 9, tzinfo=UTC)
    assert Schedule("a", Job("b"), cron="@daily", end_at=NOW).moments(NOW) == []
