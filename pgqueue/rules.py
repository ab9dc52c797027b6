"""The rules of names, numbers and lengths of time, and how a value is shown in the message that refuses it."""

from __future__ import annotations

import re
import reprlib
from datetime import timedelta
from typing import Final

from pgqueue.errors import InvalidJob

Seconds = float | int | timedelta
"""A length of time: seconds, or a timedelta."""

_NOT_KIND = re.compile(r"[^A-Za-z0-9._:-]")
_NOT_QUEUE = re.compile(r"[^A-Za-z0-9._-]")
_SHORT: Final = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = 80


def check_name(what: str, value: object, wrong: re.Pattern[str], longest: int, allowed: str) -> None:
    """Refuses a name that is empty, too long, or has a character that `wrong` matches."""
    if isinstance(value, str) and 1 <= len(value) <= longest and not wrong.search(value):
        return
    if not isinstance(value, str):
        fault = f"is a {type(value).__name__}, not a str"
    elif not value:
        fault = "is empty"
    elif len(value) > longest:
        fault = f"has {len(value)} characters"
    else:
        found = wrong.search(value)
        fault = f"has {_spell(found.group())}" if found else "is no name"
    raise InvalidJob(f"{what} {show(value)} {fault}; use 1 to {longest} {allowed}")


def check_kind(value: object, what: str = "job kind") -> None:
    """Refuses what is no name of a handler."""
    check_name(what, value, _NOT_KIND, 255, "letters, digits, '.', '_', '-', ':'")


def check_queue(value: object) -> None:
    """Refuses what is no queue name."""
    if isinstance(name := getattr(value, "name", None), str):  # a Queue, whose other options are handlers' defaults
        raise InvalidJob(
            f"queue {show(value)} is a {type(value).__name__}, and a job takes the name: queue={show(name)}"
        )
    check_name("queue name", value, _NOT_QUEUE, 63, "letters, digits, '.', '_', '-'")


def check_whole(what: str, value: object, low: int, high: int, rule: str) -> None:
    """Refuses what is no whole number from `low` to `high`."""
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise InvalidJob(f"{what} {show(value)} is out of range; {rule}")


def seconds(what: str, value: Seconds, *, zero: bool = False) -> float:
    """A length of time in seconds, to the microsecond; refuses a negative one, and zero unless `zero`."""
    length = value.total_seconds() if isinstance(value, timedelta) else value
    if (
        isinstance(length, bool)
        or not isinstance(length, float | int)
        or not 0 <= length < 1e10
        or not (round(length, 6) or zero)
    ):
        raise InvalidJob(
            f"{what} {show(value)} is no {'' if zero else 'positive '}length of time; give seconds or a timedelta"
        )
    return round(float(length), 6)


def show(value: object) -> str:
    """A value for a message: short, and never an error itself, however large, deep or broken the value is."""
    try:
        return _SHORT.repr(value)
    except ValueError:  # an int of more digits than Python will print
        return f"a huge {type(value).__name__}"


def _spell(character: str) -> str:
    return "a space" if character == " " else repr(character)
