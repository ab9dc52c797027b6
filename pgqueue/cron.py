"""When a schedule is due: cron expressions in a time zone, and plain intervals. Pure arithmetic, no clock, no I/O.

    Cron("0 9 * * mon-fri", "Europe/Berlin").after(moment)
    Every(300).after(moment)

Expressions are read and matched by cronsim; what a time zone does to them is decided here, for five and six fields
alike (docs/schedules.md, docs/decisions/cron-by-cronsim.md):

- The hour is named (`30 2 * * *`): each matching time of the day happens once. If the clock jumps over it, it happens
  as soon as the jump is over; if the clock comes by twice, the first time counts.
- The hour is `*` or `*/n`: time is counted as it passes. What the clock jumps over does not happen, what it shows twice
  happens twice.

Every moment that goes in or comes out is an aware datetime; those that come out are UTC.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final, NoReturn, Protocol
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from pgqueue.errors import InvalidJob, InvalidSchedule
from pgqueue.job import Seconds, seconds, show

SHORTEST: Final = 1.0
"""Seconds between two moments of a schedule at least."""
LONGEST_EXPRESSION: Final = 255

NICKNAMES: Final = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_FIELDS: Final = (
    ("second", "0 to 59"),
    ("minute", "0 to 59"),
    ("hour", "0 to 23"),
    ("day of month", "1 to 31, L for the last, LW for the last weekday"),
    ("month", "1 to 12 or jan to dec"),
    ("day of week", "0 to 7 or sun to sat, fri#2 for the second Friday, 5L for the last"),
)
_SECOND: Final = timedelta(seconds=1)
_INSTANT: Final = timedelta(microseconds=1)
_DAY: Final = timedelta(days=1)


class Rule(Protocol):
    """When a schedule is due, again and again."""

    def after(self, moment: datetime) -> datetime | None:
        """The first moment after that one, which is itself one of the rule's; None when none comes."""

    def latest(self, first: datetime, last: datetime, count: int) -> list[datetime]:
        """The last `count` moments from `first`, which is one of them, to `last`, in order."""


@dataclass(frozen=True, slots=True)
class Cron:
    """A cron expression in a time zone.

    expression:  five fields, six with seconds in front, or one of NICKNAMES.
    tz:          name of a time zone as the system's database has it, such as Europe/Berlin.

    Raises `InvalidSchedule`, naming the field or the zone that is wrong.
    """

    expression: str
    tz: str = "UTC"
    fields: str = field(init=False, repr=False, compare=False)
    """The expression with six fields."""
    named_hour: bool = field(init=False, repr=False, compare=False)
    zone: ZoneInfo = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "zone", zone(self.tz))
        object.__setattr__(self, "fields", _fields(self.expression))
        object.__setattr__(self, "named_hour", not self.fields.split()[2].startswith("*"))

    def after(self, moment: datetime) -> datetime | None:
        """The first moment after any moment; None when none comes within fifty years."""
        return next(self._walk(moment), None)

    def latest(self, first: datetime, last: datetime, count: int) -> list[datetime]:
        """The last `count` moments from `first` to `last`, in order."""
        found = itertools.takewhile(lambda moment: moment >= first, self._walk_back(last))
        return list(itertools.islice(found, count))[::-1]

    def explain(self) -> str:
        """The expression in words."""
        return CronSim(self.fields, datetime(2000, 1, 1)).explain()  # noqa: DTZ001

    def _walk(self, moment: datetime) -> Iterator[datetime]:
        """All moments after that one, in order."""
        try:
            local = moment.astimezone(self.zone)
            if not self.named_hour:
                start = local.replace(tzinfo=None) - self._repeated(moment, _DAY)
                both = heapq.merge(*(self._shown(CronSim(self.fields, start), fold) for fold in (0, 1)))
                yield from (found for found, _ in itertools.groupby(both) if found > moment)
                return
            for wall in CronSim(self.fields, local.replace(tzinfo=None)):
                found = self._when(wall)
                if found > moment:
                    moment = found
                    yield found
        except (OverflowError, ValueError):  # the calendar ends with the year 9999
            return

    def _walk_back(self, moment: datetime) -> Iterator[datetime]:
        """All moments up to and with that one, the last first."""
        local = (moment + _SECOND).astimezone(self.zone)
        try:
            # After the clock was put back it shows times that have been, so begin with the latest it ever showed.
            start = local.replace(tzinfo=None) + self._repeated(moment + _SECOND, -_DAY)
            if not self.named_hour:
                walls = (CronSim(self.fields, start, reverse=True) for _ in range(2))
                both = heapq.merge(*map(self._shown, walls, (0, 1)), reverse=True)
                yield from (found for found, _ in itertools.groupby(both) if found <= moment)
                return
            last = moment + _INSTANT
            for wall in CronSim(self.fields, start, reverse=True):
                when = self._when(wall)
                if when < last:
                    last = when
                    yield when
        except (OverflowError, ValueError):
            return

    def _repeated(self, moment: datetime, within: timedelta) -> timedelta:
        """How far the clock is put back if so it shows again, or has shown before, what it shows at that moment.

        within:  length of time, after that moment or, if negative, before it, in which clocks change once at most.
        """
        offset, other = self._offset(moment), self._offset(moment + within)
        length = max(timedelta(0), offset - other if within > timedelta(0) else other - offset)
        near = moment + (length if within > timedelta(0) else -length)
        return length if self._offset(near) == other else timedelta(0)

    def _offset(self, moment: datetime) -> timedelta:
        offset = moment.astimezone(self.zone).utcoffset()
        assert offset is not None
        return offset

    def _shown(self, walls: Iterable[datetime], fold: int) -> Iterator[datetime]:
        """The moments at which a clock in the zone shows those times, for the first or the second time."""
        for wall in walls:
            found = wall.replace(tzinfo=self.zone, fold=fold).astimezone(UTC)
            if found.astimezone(self.zone).replace(tzinfo=None) == wall:  # else the clock jumped over it
                yield found

    def _when(self, wall: datetime) -> datetime:
        """The moment at which a clock in the zone shows that time: the first if twice, the end of the jump if never."""
        found = wall.replace(tzinfo=self.zone).astimezone(UTC)
        if found.astimezone(self.zone).replace(tzinfo=None) == wall:
            return found
        before, after = wall.replace(tzinfo=self.zone, fold=1).astimezone(UTC), found
        offset = after.astimezone(self.zone).utcoffset()
        while after - before > _SECOND:
            middle = before + timedelta(seconds=(after - before) // _SECOND // 2)
            if middle.astimezone(self.zone).utcoffset() == offset:
                after = middle
            else:
                before = middle
        return after


@dataclass(frozen=True, slots=True)
class Every:
    """A fixed length of time between moments, each counted from the one before.

    length:  seconds or timedelta, at least one second; a day is 24 hours, whatever the clocks do.

    Raises `InvalidSchedule`.
    """

    length: Seconds
    step: timedelta = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        try:
            length = seconds("every", self.length)
        except InvalidJob as error:
            raise InvalidSchedule(str(error)) from error
        if length < SHORTEST:
            raise InvalidSchedule(f"every {show(self.length)} is too short; use at least {SHORTEST:g} second")
        object.__setattr__(self, "step", timedelta(seconds=length))

    def after(self, moment: datetime) -> datetime | None:
        """One length later; None when the calendar ends before."""
        try:
            return moment.astimezone(UTC) + self.step  # in UTC: added to a local time it would follow the clocks
        except OverflowError:
            return None

    def latest(self, first: datetime, last: datetime, count: int) -> list[datetime]:
        """The last `count` moments from `first`, which is one of them, to `last`, in order."""
        if last < first:
            return []
        steps = (last - first) // self.step
        return [first.astimezone(UTC) + n * self.step for n in range(max(0, steps - count + 1), steps + 1)]


def moments(rule: Rule, after: datetime, count: int) -> list[datetime]:
    """The next `count` moments, fewer if no more come."""
    found: list[datetime] = []
    moment: datetime | None = after
    while len(found) < count and moment is not None and (moment := rule.after(moment)) is not None:
        found.append(moment)
    return found


def zone(name: str) -> ZoneInfo:
    """A time zone by its name. Raises `InvalidSchedule` for one that is not in the time zone database."""
    try:
        return ZoneInfo(name)
    except (LookupError, ValueError, OSError, TypeError) as error:  # each for another kind of nonsense
        raise InvalidSchedule(
            f"time zone {show(name)} is unknown; use a name of the time zone database, such as Europe/Berlin or UTC"
        ) from error


def _fields(expression: object) -> str:
    """The six fields of an expression, checked."""
    if not isinstance(expression, str):
        raise InvalidSchedule(f"cron expression {show(expression)} is a {type(expression).__name__}, not a str")
    if len(expression) > LONGEST_EXPRESSION:
        raise InvalidSchedule(
            f"cron expression {show(expression)} has {len(expression)} characters; the limit is {LONGEST_EXPRESSION}"
        )
    words = expression.lower().split()
    if len(words) == 1 and words[0].startswith("@"):
        if words[0] not in NICKNAMES:
            raise InvalidSchedule(f"cron expression {show(expression)} is no nickname; use {', '.join(NICKNAMES)}")
        words = NICKNAMES[words[0]].split()
    if len(words) not in (5, 6):
        raise InvalidSchedule(
            f"cron expression {show(expression)} has {len(words)} fields; use five, minute hour day month weekday, or "
            "six with seconds in front"
        )
    fields = " ".join(["0", *words] if len(words) == 5 else words)
    try:
        # From a year whose cycle of leap years is whole; the search ends after fifty years.
        if next(CronSim(fields, datetime(2000, 1, 1)), None) is None:  # noqa: DTZ001
            raise InvalidSchedule(f"cron expression {show(expression)} never comes: no such day within fifty years")
    except (CronSimError, ValueError) as error:
        _blame(expression, fields, error)
    return fields


def _blame(expression: str, fields: str, error: Exception) -> NoReturn:
    """Refuses an expression with the field that is wrong."""
    words = fields.split()
    given = len(words) - len(expression.split())
    for place, (word, (name, allowed)) in enumerate(zip(words, _FIELDS, strict=True)):
        alone = ["*"] * 6
        alone[place] = word
        try:
            CronSim(" ".join(alone), datetime(2000, 1, 1))  # noqa: DTZ001
        except (CronSimError, ValueError):
            raise InvalidSchedule(
                f"cron expression {show(expression)}: {name} {show(word)} (field {place - given + 1}) is wrong; use "
                f"{allowed}, and of these '*', lists a,b, ranges a-b that go up, steps */n"
            ) from error
    raise InvalidSchedule(
        f"cron expression {show(expression)} never comes: month {show(words[4])} has no day {show(words[3])}"
    ) from error
