"""What became of an attempt, as a value. One `match` turns whatever a handler returned or raised into one of these."""

from __future__ import annotations

import asyncio
import json
import traceback
from datetime import timedelta
from typing import Any, Final, NamedTuple

from pydantic_core import PydanticSerializationError, to_json

from pgqueue.calls import ClaimedJob
from pgqueue.errors import InvalidJob, UnknownKind
from pgqueue.job import has_nul
from pgqueue.retry import Backoff

MAX_RESULT_BYTES: Final = 1_048_576
MAX_ERROR_CHARS: Final = 2_000
MAX_TRACEBACK_CHARS: Final = 20_000


class Completed(NamedTuple):
    """The handler returned. result: what, as JSON text; None for nothing."""

    job: ClaimedJob
    result: str | None


class Failed(NamedTuple):
    """The handler raised, timed out, or could not be called.

    error:      type and message, one line.
    traceback:  where; None when no code of the application was reached.
    retry_in:   pause before the next attempt, if one is left; None to give up.
    """

    job: ClaimedJob
    error: str
    traceback: str | None
    retry_in: timedelta | None


class Released(NamedTuple):
    """Given back: it was never started, or the worker had no time to let it finish. The attempt is not counted."""

    job: ClaimedJob


Outcome = Completed | Failed | Released


def of_result(job: ClaimedJob, result: Any) -> Completed | Failed:
    """The outcome of a handler that returned. A result that cannot be stored fails this job alone, for good: running
    it again would only repeat its effects."""
    if result is None:
        return Completed(job, None)
    try:
        text = to_json(result, inf_nan_mode="constants").decode()
        if "NaN" in text or "Infinity" in text:
            json.loads(text, parse_constant=_refuse_constant)
    except (PydanticSerializationError, ValueError, RecursionError) as error:
        return Failed(job, f"InvalidResult: {_type(result)} cannot be stored as JSON: {error}", None, None)
    if has_nul(text):
        return Failed(
            job, "InvalidResult: a string in it holds the character U+0000, which Postgres refuses", None, None
        )
    if len(text) > MAX_RESULT_BYTES:
        size = f"{len(text):,} characters; the limit is {MAX_RESULT_BYTES:,}"
        return Failed(job, f"InvalidResult: it takes {size}: store the data elsewhere and return its key", None, None)
    return Completed(job, text)


def of_error(job: ClaimedJob, backoff: Backoff, error: BaseException) -> Failed:
    """The outcome of a handler that raised, or could not be called."""
    pause = timedelta(seconds=backoff.pause(job.attempt))
    match error:
        case InvalidJob():  # the stored arguments do not fit, and the same arguments never will
            return Failed(job, describe(error), None, None)
        case UnknownKind():  # a deploy may bring the handler
            return Failed(job, describe(error), None, pause)
        case asyncio.CancelledError():
            return Failed(
                job, f"CancelledError: {_text(error) or 'the handler was cancelled from inside'}", None, pause
            )
        case _:
            return Failed(job, describe(error), _traceback(error), pause)


def describe(error: BaseException) -> str:
    """Type and message of an error in one line, whatever its `__str__` does."""
    text = _text(error)
    return f"{type(error).__name__}: {text}"[:MAX_ERROR_CHARS] if text else type(error).__name__


def _text(error: BaseException) -> str:
    try:
        text = str(error)
    except Exception as broken:  # an exception whose __str__ raises must not take the worker along
        text = f"(its message cannot be read: {type(broken).__name__})"
    return _storable(" ".join(text.split()))


def _traceback(error: BaseException) -> str:
    try:
        text = "".join(traceback.format_exception(error))
    except Exception as broken:
        text = "".join(traceback.format_tb(error.__traceback__)) + f"(cannot be formatted: {type(broken).__name__})"
    return _storable(text[-MAX_TRACEBACK_CHARS:])


def _storable(text: str) -> str:
    """Without what a Postgres text cannot hold: NUL and lone surrogates."""
    return text.replace("\0", "\\0").encode(errors="backslashreplace").decode()


def _type(value: object) -> str:
    return f"a {type(value).__name__}"


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")
