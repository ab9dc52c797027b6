"""Whether a value survives being JSON: which type hints are certain of it, and whether one value came back as it was.

JSON knows text, numbers, true, false, null, lists, and objects with text for keys. A type hint tells the rest, and
most tell it without a doubt: a text for a `UUID` is a UUID. `Path | str` does not, nor does `Any`: there each job is
read back before it goes out.
"""

from __future__ import annotations

import contextlib
import types
import typing
from collections import OrderedDict
from collections.abc import AsyncIterable, AsyncIterator, Generator, Iterable, Iterator, Mapping
from dataclasses import is_dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum, Flag
from pathlib import Path, PurePath, PurePosixPath, PureWindowsPath
from typing import Any, Final, Literal, Union
from uuid import UUID

from pydantic import BaseModel

_DISTINCT: Final = {int, str, bool, type(None)}
"""Each has a JSON of its own, so any union of them is certain."""
_CERTAIN: Final = _DISTINCT | {
    *(float, bytes, UUID, Decimal, date, timedelta, None, Path, PurePath, PurePosixPath, PureWindowsPath)
}
_OF_CERTAIN: Final = {list, set, frozenset, tuple}
_ONCE: Final = {Iterable, Iterator, Generator, AsyncIterable, AsyncIterator}


def certain(hint: Any) -> bool:
    """Whether every value that fits this type hint comes back from JSON as it was."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in _OF_CERTAIN:
        return all(certain(one) for one in inner if one is not ...)
    if origin is dict:
        return inner[0] is str and certain(inner[1])
    if origin is Literal:
        return all(type(one) in _DISTINCT for one in inner)
    if origin in (Union, types.UnionType):
        others = [one for one in inner if one is not type(None)]
        return set(inner) <= _DISTINCT or (len(others) == 1 and certain(others[0]))
    if isinstance(hint, type) and issubclass(hint, Enum):
        return not issubclass(hint, Flag) and all(isinstance(one.value, int | str) for one in hint)
    try:
        return hint in _CERTAIN
    except TypeError:  # a hint that has no hash
        return False


def refusal(hint: Any) -> str | None:
    """Why no job can carry values of this type hint, whatever they are; None if some can."""
    origin = typing.get_origin(hint) or hint
    if any(origin is one for one in _ONCE):
        return "it can be read once, and a job may run again; take a list or Sequence"
    if origin is OrderedDict:
        return "Postgres keeps no order of the keys in an object; take list[tuple[…]]"
    for one in typing.get_args(hint):
        if (said := refusal(one)) is not None:
            return said
    return None


def same(a: Any, b: Any) -> bool:
    """Whether `b`, read back from JSON, is what `a` was."""
    with contextlib.suppress(Exception):  # a type's own comparison may raise anything
        if a == b:
            return True
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        # A list for a tuple: nothing is lost. A set is another matter.
        return len(a) == len(b) and all(same(one, other) for one, other in zip(a, b, strict=True))
    if type(a) is not type(b):
        return False
    match a:
        case datetime() if a.utcoffset() is not None and b.utcoffset() is not None:
            return bool(a.astimezone(UTC) == b.astimezone(UTC))  # in a repeated hour == says no, whatever the moments
        case Mapping():
            return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
        case BaseModel():
            fields = type(a).model_fields
            return all(same(getattr(a, name), getattr(b, name)) for name in fields)
        case _ if is_dataclass(a):
            return all(same(getattr(a, name), getattr(b, name)) for name in a.__dataclass_fields__)
    # Not a number is no reason, and a type that cannot compare itself has the benefit of the doubt.
    return bool(a != a) or "__eq__" not in {name for kind in type(a).__mro__[:-1] for name in vars(kind)}
