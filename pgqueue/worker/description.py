"""Errors as text that Postgres can store: type and message, traceback, fingerprint. Whatever an error does when it is
read, it must not take the worker along."""

from __future__ import annotations

import hashlib
import sysconfig
import traceback
from collections.abc import Iterator
from types import CodeType, FrameType, TracebackType
from typing import Final, NamedTuple

MAX_ERROR_CHARS: Final = 2_000
MAX_TRACEBACK_CHARS: Final = 20_000
INNERMOST: Final = 3
"""Places of the application that a fingerprint looks at."""

_LIBRARIES: Final = tuple({sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")})
_INSTALLED: Final = ("/site-packages/", "/dist-packages/", "\\site-packages\\")


def describe(error: BaseException) -> str:
    """Type and message of an error in one line."""
    text = message(error)
    return f"{type(error).__name__}: {text}"[:MAX_ERROR_CHARS] if text else type(error).__name__


def message(error: BaseException) -> str:
    """The message alone, in one line."""
    try:
        text = str(error)
    except BaseException as broken:  # an exception whose __str__ raises must not take the worker along
        text = f"(its message cannot be read: {type(broken).__name__})"
    return storable(" ".join(text.split()))


class Elsewhere(NamedTuple):
    """Traceback and fingerprint of an error that was raised in another process."""

    traceback: str
    fingerprint: str

    @classmethod
    def of(cls, error: BaseException) -> Elsewhere | None:
        """What `note` noted; None for an error of this process."""
        found = getattr(error, "_pgqueue_elsewhere", None)
        return found if isinstance(found, cls) else None

    def note(self, error: BaseException) -> None:
        """Notes it with the error, which came over without."""
        error._pgqueue_elsewhere = self  # type: ignore[attr-defined]


def trace(error: BaseException, module: str) -> str:
    """The traceback from the handler on, its end if it is long; with our own calls before that if none of it is the
    application's. module: as `fingerprint`."""
    if (there := Elsewhere.of(error)) is not None:
        return storable(there.traceback[-MAX_TRACEBACK_CHARS:])
    try:
        text = "".join(traceback.format_exception(type(error), error, _from_handler(error, module)))
    except BaseException as broken:
        text = "".join(traceback.format_tb(error.__traceback__)) + f"(cannot be formatted: {type(broken).__name__})"
    return storable(text[-MAX_TRACEBACK_CHARS:])


def fingerprint(error: BaseException, module: str) -> str:
    """The same for errors of one type from one place: 16 hex digits to count failures by.

    Of its type and the innermost functions of the application it came through, by name. Neither its message nor line
    numbers are part of it, so it outlives other values and edits elsewhere in the file. An error without a place, such
    as a timeout, is told by its type alone, as pgqueue.fail does it.

    module:  of the handler; its package is the application, even where that is installed like a library.
    """
    if (there := Elsewhere.of(error)) is not None:
        return there.fingerprint
    parts = [type(error).__name__]
    if isinstance(error, BaseExceptionGroup):
        parts += sorted({fingerprint(each, module) for each in leaves(error)})
    else:
        places = list(_places(error))
        own = [name for name, code in places if _is_application(name, code, module)]
        parts += (own or [name for name, _ in places])[-INNERMOST:]
    return hashlib.md5("\n".join(parts).encode(errors="backslashreplace"), usedforsecurity=False).hexdigest()[:16]


def leaves(error: BaseException) -> Iterator[BaseException]:
    """The errors in a group; the error itself if it is none."""
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            yield from leaves(each)
    else:
        yield error


def storable(text: str) -> str:
    """Without what a Postgres text cannot hold: NUL and lone surrogates."""
    return text.replace("\0", "\\0").encode(errors="backslashreplace").decode()


def ascii_only(text: str) -> str:
    """For a database whose encoding lacks a character of it."""
    return text.encode("ascii", errors="backslashreplace").decode()


def _places(error: BaseException) -> Iterator[tuple[str, CodeType]]:
    """Functions that the error came through, outermost first, without our own; one that calls itself is one place."""
    last = None
    for frame, _ in traceback.walk_tb(error.__traceback__):
        module = _module(frame)
        name = f"{module}.{frame.f_code.co_qualname}"
        if name != last and module.partition(".")[0] != "pgqueue":
            yield name, frame.f_code
        last = name


def _from_handler(error: BaseException, module: str) -> TracebackType | None:
    """Its traceback without our own functions that led to the handler."""
    if not any(_is_application(name, code, module) for name, code in _places(error)):
        return error.__traceback__
    place = error.__traceback__
    while place is not None and _module(place.tb_frame).partition(".")[0] == "pgqueue":
        place = place.tb_next
    return place


def _module(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", "?"))


def _is_application(name: str, code: CodeType, module: str) -> bool:
    """Whether a function is of the application that a handler's module belongs to."""
    return name.partition(".")[0] == module.partition(".")[0] or not _is_library(code)


def _is_library(code: CodeType) -> bool:
    file = code.co_filename
    return file.startswith(("<frozen ", *_LIBRARIES)) or any(part in file for part in _INSTALLED)
