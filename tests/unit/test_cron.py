"""When a schedule is due: expressions, time zones, and what happens when clocks change."""

import bisect
import functools
import itertools
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pgqueue.cron import NICKNAMES, Cron, Every, moments
from pgqueue.errors import InvalidSchedule

BERLIN = ZoneInfo("Europe/Berlin")
START = datetime(2026, 1, 1, tzinfo=UTC)


def local(rule, start, count, zone=BERLIN):
    """The next moments, as a clock in the zone shows them."""
    return [found.astimezone(zone).strftime("%d.%m. %H:%M %z") for found in moments(rule, start, count)]


def berlin(month, day, hour=0, minute=0, fold=0):
    return datetime(2026, month, day, hour, minute, fold=fold, tzinfo=BERLIN)


def test_five_fields_in_a_time_zone():
    """Nine o'clock is nine o'clock there, in winter and in summer."""
    rule = Cron("0 9 * * mon-fri", "Europe/Berlin")

    assert local(rule, berlin(3, 27), 3) == ["27.03. 09:00 +0100", "30.03. 09:00 +0200", "31.03. 09:00 +0200"]
    assert moments(rule, berlin(3, 30), 1) == [datetime(2026, 3, 30, 7, tzinfo=UTC)]


def test_six_fields_begin_with_seconds():
    """For what has to happen more often than once a minute."""
    assert moments(Cron("*/20 * * * * *"), START, 3) == [START + timedelta(seconds=n) for n in (20, 40, 60)]


@pytest.mark.parametrize(
    ("nickname", "first"),
    [
        ("@yearly", "2027-01-01T00:00"),
        ("@annually", "2027-01-01T00:00"),
        ("@monthly", "2026-02-01T00:00"),
        ("@weekly", "2026-01-04T00:00"),
        ("@daily", "2026-01-02T00:00"),
        ("@midnight", "2026-01-02T00:00"),
        ("@hourly", "2026-01-01T01:00"),
    ],
)
def test_nicknames(nickname, first):
    """As crontab(5) has them."""
    assert set(NICKNAMES) >= {nickname}
    assert Cron(nickname.upper()).after(START) == datetime.fromisoformat(first).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("expression", "before", "expected"),
    [
        # spring: 2026-03-29, 02:00 becomes 03:00
        ("30 2 * * *", berlin(3, 28), ["28.03. 02:30 +0100", "29.03. 03:00 +0200", "30.03. 02:30 +0200"]),
        ("0 30 2 * * *", berlin(3, 28), ["28.03. 02:30 +0100", "29.03. 03:00 +0200", "30.03. 02:30 +0200"]),
        ("0,30 2,3 * * *", berlin(3, 29), ["29.03. 03:00 +0200", "29.03. 03:30 +0200", "30.03. 02:00 +0200"]),
        ("*/15 2 * * *", berlin(3, 29), ["29.03. 03:00 +0200", "30.03. 02:00 +0200"]),
        ("30 * * * *", berlin(3, 29, 1), ["29.03. 01:30 +0100", "29.03. 03:30 +0200", "29.03. 04:30 +0200"]),
        ("*/30 * * * *", berlin(3, 29, 1, 10), ["29.03. 01:30 +0100", "29.03. 03:00 +0200", "29.03. 03:30 +0200"]),
        ("0 */2 * * *", berlin(3, 28, 23), ["29.03. 00:00 +0100", "29.03. 04:00 +0200"]),
        # autumn: 2026-10-25, 03:00 becomes 02:00
        ("30 2 * * *", berlin(10, 24), ["24.10. 02:30 +0200", "25.10. 02:30 +0200", "26.10. 02:30 +0100"]),
        ("0 30 2 * * *", berlin(10, 24), ["24.10. 02:30 +0200", "25.10. 02:30 +0200", "26.10. 02:30 +0100"]),
        ("30 * * * *", berlin(10, 25, 2), ["25.10. 02:30 +0200", "25.10. 02:30 +0100", "25.10. 03:30 +0100"]),
        ("0 */2 * * *", berlin(10, 25, 1), ["25.10. 02:00 +0200", "25.10. 02:00 +0100", "25.10. 04:00 +0100"]),
    ],
)
def test_clock_changes(expression, before, expected):
    """A named hour happens once a day, come what may; a counted one goes by the time that passes."""
    assert local(Cron(expression, "Europe/Berlin"), before, len(expected)) == expected


def test_a_time_that_has_come_does_not_come_again_within_the_repeated_hour():
    """Whoever asks in the second 02:10 of that night must not be told of the first 02:30, nor of a second."""
    rule = Cron("30 2 * * *", "Europe/Berlin")

    assert local(rule, berlin(10, 25, 2, 10, fold=1), 1) == ["26.10. 02:30 +0100"]
    assert local(rule, berlin(10, 25, 2, 10), 1) == ["25.10. 02:30 +0200"]


def test_a_midnight_that_does_not_exist_comes_when_the_day_begins():
    """Chile puts its clocks forward at midnight: @daily must not lose the day."""
    zone = ZoneInfo("America/Santiago")
    rule = Cron("@daily", "America/Santiago")

    assert local(rule, datetime(2026, 9, 5, tzinfo=zone), 2, zone) == ["06.09. 01:00 -0300", "07.09. 00:00 -0300"]


def test_half_an_hour_of_daylight_saving():
    """Lord Howe Island changes its clocks by thirty minutes."""
    zone = ZoneInfo("Australia/Lord_Howe")
    rule = Cron("10 2 * * *", "Australia/Lord_Howe")

    assert local(rule, datetime(2026, 10, 3, 12, tzinfo=zone), 2, zone) == ["04.10. 02:30 +1100", "05.10. 02:10 +1100"]

    rule, start = Cron("45 * * * *", "Australia/Lord_Howe"), datetime(2026, 4, 5, tzinfo=zone)
    twice = ["05.04. 00:45 +1100", "05.04. 01:45 +1100", "05.04. 01:45 +1030", "05.04. 02:45 +1030"]
    assert local(rule, start, 4, zone) == twice
    assert rule.latest(start, datetime(2026, 4, 5, 3, tzinfo=zone), 9) == moments(rule, start, 4)


ZONES = ("Europe/Berlin", "America/New_York", "America/Santiago", "Australia/Lord_Howe", "Africa/Cairo", "Asia/Kolkata")
CHANGES = [
    datetime(2026, month, day, tzinfo=UTC) for month, day in ((3, 28), (10, 24), (3, 7), (10, 31), (4, 3), (9, 4))
]


@functools.cache
def clocks(zone: str, start: datetime) -> tuple[list[datetime], list[datetime]]:
    """The minutes of three days and a bit, and what the clock on the wall shows at each."""
    clock = [start + timedelta(minutes=n) for n in range(-600, 3 * 24 * 60)]
    return clock, [moment.astimezone(ZoneInfo(zone)).replace(tzinfo=None) for moment in clock]


@settings(max_examples=60)
@given(
    zone=st.sampled_from(ZONES),
    start=st.sampled_from(CHANGES),
    minutes=st.sets(st.integers(0, 59), min_size=1, max_size=4),
    hours=st.none() | st.sets(st.integers(0, 23), min_size=1, max_size=4),
)
def test_every_minute_around_a_change_agrees_with_the_clock_on_the_wall(zone, start, minutes, hours):
    """Held against the rules in their plainest form: look at the clock each minute for three days."""
    clock, walls = clocks(zone, start)
    if hours is None:
        expected = [moment for moment, wall in zip(clock, walls, strict=True) if wall.minute in minutes]
    else:
        highest = list(itertools.accumulate(walls, max))
        begin = highest[0] + timedelta(minutes=1)
        shown = [begin + timedelta(minutes=n) for n in range(int((highest[-1] - begin).total_seconds() // 60))]
        wanted = [wall for wall in shown if wall.hour in hours and wall.minute in minutes]
        expected = sorted({clock[bisect.bisect_left(highest, wall)] for wall in wanted})
    expected = [moment for moment in expected if start <= moment < clock[-1] - timedelta(hours=3)]
    fields = ",".join(map(str, sorted(minutes))), "*" if hours is None else ",".join(map(str, sorted(hours)))
    rule = Cron(f"{fields[0]} {fields[1]} * * *", zone)

    assert moments(rule, start - timedelta(seconds=1), len(expected)) == expected
    for moment in (*expected[:: 1 + len(expected) // 20], clock[-200]):
        upto = [one for one in expected if one <= moment]
        assert rule.latest(start, moment, len(upto) + 1) == upto
        assert rule.latest(start, moment, 2) == upto[-2:]


@pytest.mark.parametrize(
    ("expression", "place"),
    [
        ("99 9 * * *", "minute '99' (field 1)"),
        ("0 24 * * *", "hour '24' (field 2)"),
        ("0 9 0 * *", "day of month '0' (field 3)"),
        ("0 9 * foo *", "month 'foo' (field 4)"),
        ("0 9 * * fri-mon", "day of week 'fri-mon' (field 5)"),
        ("61 0 9 * * *", "second '61' (field 1)"),
        ("0 9 * * *-", "day of week '*-' (field 5)"),
        ("*/0 9 * * *", "minute '*/0' (field 1)"),
        ("0 9 * *", "4 fields"),
        ("", "0 fields"),
        ("1 2 3 4 5 6 7", "7 fields"),
        ("@reboot", "no nickname"),
        ("0 0 31 2 *", "month '2' has no day '31'"),
        ("0 0 31 4,6 *", "month '4,6' has no day '31'"),
        ("0 0 30 2 */8", "never comes"),
        ("* " * 200, "400 characters"),
        ("0\0 9 * * *", "minute '0\\x00' (field 1)"),
        ("٣ 9 * * *", "minute '٣' (field 1)"),
        (None, "is a NoneType"),
        (5, "is a int"),
    ],
)
def test_a_wrong_expression_is_refused_with_the_place_that_is_wrong(expression, place):
    """Before anything is stored: a schedule that never runs is noticed by nobody."""
    with pytest.raises(InvalidSchedule) as refused:
        Cron(expression)

    assert place in str(refused.value)


@settings(max_examples=300)
@given(st.lists(st.text("0123456789*/-,#L@monfri W?", min_size=1, max_size=8), min_size=5, max_size=6).map(" ".join))
def test_any_expression_works_or_is_refused(expression):
    """Whoever typed it: the owner of all schedules computes with it later."""
    try:
        rule = Cron(expression)
    except InvalidSchedule:
        return
    found = moments(rule, START, 2)
    assert found == sorted(set(found))


@pytest.mark.parametrize(
    "name",
    ["Europe/Berln", "europe/berlin", "", "../etc/passwd", "/etc/localtime", "Europe", "a\0b", "x" * 5000, None, 5, []],
)
def test_an_unknown_time_zone_is_refused(name):
    """With its name; nothing of it ever reaches the file system's errors."""
    with pytest.raises(InvalidSchedule, match=r"time zone .* is unknown; use a name of the time zone database"):
        Cron("0 9 * * *", name)


def test_an_interval_counts_from_the_moment_before():
    """So it neither drifts nor follows the clocks."""
    start = berlin(3, 28, 12)

    assert moments(Every(86_400), start, 1) == [berlin(3, 29, 13).astimezone(UTC)]
    assert moments(Every(timedelta(minutes=5)), START, 2) == [START + timedelta(minutes=n) for n in (5, 10)]


@pytest.mark.parametrize("length", [0, 0.5, -1, float("nan"), float("inf"), 1e11, "5", None, True, timedelta(0)])
def test_an_interval_that_cannot_work_is_refused(length):
    """Shorter than a second is not a schedule but a loop."""
    with pytest.raises(InvalidSchedule, match="every"):
        Every(length)


def test_the_last_moments_of_a_long_absence_are_found_without_counting_through_it():
    """Ten years of seconds: nobody waits for three hundred million steps."""
    now = START + timedelta(days=3650)
    last = [now - timedelta(seconds=n) for n in (2, 1, 0)]

    assert Cron("* * * * * *").latest(START, now, 3) == last
    assert Every(1).latest(START, now, 3) == last
    assert Every(7).latest(START, START + timedelta(seconds=20), 5) == [
        START + timedelta(seconds=n) for n in (0, 7, 14)
    ]
    assert Every(7).latest(START, START - timedelta(seconds=1), 5) == []


def test_rules_end_with_the_calendar():
    """A moment in the year 10000 would fail whoever reads it."""
    end = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)

    assert moments(Cron("0 9 * * *", "Asia/Tokyo"), end, 3) == []
    assert moments(Cron("0 * * * *", "America/New_York"), end, 3) == []
    assert moments(Every(60), end, 3) == []


def test_an_expression_in_words():
    """What `pgqueue schedule preview` shows first."""
    assert Cron("0 9 * * mon-fri").explain().startswith("At 09:00")
