"""What became of an attempt, as a value. One `match` turns whatever a handler returned or raised into one of these."""

from __future__ import annotations

import asyncio
import json
import traceback
from datetime import timedelta
from typing import Any, Final, NamedTuple

import psycopg
from pydantic_core import to_json

from pgqueue.calls import ClaimedJob
from pgqueue.errors import ArgumentsTooNew, InvalidJob, TransactionEnded, UnknownKind
from pgqueue.job import RetryPolicy, has_nul
from pgqueue.retry import Backoff

MAX_RESULT_BYTES: Final = 1_048_576
MAX_ERROR_CHARS: Final = 2_000
MAX_TRACEBACK_CHARS: Final = 20_000
LONGEST_PAUSE: Final = 10 * 365 * 86_400.0
"""Seconds. A backoff without a sensible cap would end at a moment that no calendar has."""
DEFAULT_BACKOFF: Final = Backoff()
"""For a job whose handler is not known here."""


class Completed(NamedTuple):
    """The handler returned.

    result:      what, as JSON text; None for nothing.
    result_ttl:  for how long it can be read; None: as long as the job is kept.
    """

    job: ClaimedJob
    result: str | None
    result_ttl: timedelta | None = None


class Recorded(NamedTuple):
    """The handler returned, and that is on record already: committed with what it wrote."""

    job: ClaimedJob


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


Outcome = Completed | Recorded | Failed | Released


def of_result(job: ClaimedJob, result: Any, ttl: float | None = None) -> Completed | Recorded | Failed:
    """The outcome of a handler that returned. A result that cannot be stored fails this job alone, for good: running
    it again would only repeat its effects.

    ttl:  for how many seconds the result can be read; None: as long as the job is kept.
    """
    if result is None:
        return Completed(job, None)
    if isinstance(result, Recorded):
        return result
    try:
        text = to_json(result, inf_nan_mode="constants").decode()
        if "NaN" in text or "Infinity" in text:
            json.loads(text, parse_constant=_refuse_constant)
    except Exception as error:  # a type's own serializer may raise anything
        return _invalid(job, f"{_type(result)} cannot be stored as JSON: {_text(error)}")
    if has_nul(text):
        return _invalid(job, "a string in it holds the character U+0000, which Postgres refuses")
    if len(text) > MAX_RESULT_BYTES:
        size = f"{len(text):,} characters; the limit is {MAX_RESULT_BYTES:,}"
        return _invalid(job, f"it takes {size}: store the data elsewhere and return its key")
    return Completed(job, text, None if ttl is None else timedelta(seconds=ttl))


def of_error(job: ClaimedJob, backoff: RetryPolicy | None, error: BaseException) -> Failed:
    """The outcome of a handler that raised or was stopped."""
    if isinstance(error, TransactionEnded):  # it would only do it again
        return Failed(job, describe(error), _traceback(error), None)
    pause = _pause(backoff or DEFAULT_BACKOFF, job)
    if isinstance(error, asyncio.CancelledError):
        return Failed(job, f"CancelledError: {_text(error) or 'the handler was cancelled from inside'}", None, pause)
    return Failed(job, describe(error), _traceback(error), pause)


def of_misfit(job: ClaimedJob, error: BaseException) -> Failed:
    """The outcome of a job whose handler could not be called."""
    match error:
        case InvalidJob():  # the stored arguments do not fit, and the same arguments never will
            return Failed(job, describe(error), None, None)
        case UnknownKind() | ArgumentsTooNew():  # a deploy may bring the handler
            return Failed(job, describe(error), None, _pause(DEFAULT_BACKOFF, job))
        case _:  # a validator of the application's own
            return of_error(job, None, error)


def of_refusal(outcome: Outcome, error: psycopg.DataError) -> Failed:
    """What to report in place of an outcome that the database cannot store."""
    match outcome:
        case Failed():
            trace = None if outcome.traceback is None else _ascii(outcome.traceback)
            return outcome._replace(error=_ascii(outcome.error), traceback=trace)
        case _:
            return _invalid(outcome.job, f"Postgres cannot store it: {_ascii(_text(error))}")


def _pause(policy: RetryPolicy, job: ClaimedJob) -> timedelta:
    """Until the next attempt. A policy of the application's own that fails must not take the worker along."""
    try:
        seconds = float(policy.pause(job.attempt))
    except Exception:
        seconds = DEFAULT_BACKOFF.pause(job.attempt)
    # min() in this order: a pause that is no number becomes the longest.
    return timedelta(seconds=max(0.0, min(LONGEST_PAUSE, seconds)))


def describe(error: BaseException) -> str:
    """Type and message of an error in one line, whatever its `__str__` does."""
    text = _text(error)
    return f"{type(error).__name__}: {text}"[:MAX_ERROR_CHARS] if text else type(error).__name__


def _text(error: BaseException) -> str:
    try:
        text = str(error)
    except BaseException as broken:  # an exception whose __str__ raises must not take the worker along
        text = f"(its message cannot be read: {type(broken).__name__})"
    return _storable(" ".join(text.split()))


def _traceback(error: BaseException) -> str:
    try:
        text = "".join(traceback.format_exception(error))
    except BaseException as broken:
        text = "".join(traceback.format_tb(error.__traceback__)) + f"(cannot be formatted: {type(broken).__name__})"
    return _storable(text[-MAX_TRACEBACK_CHARS:])


def _invalid(job: ClaimedJob, why: str) -> Failed:
    return Failed(job, f"InvalidResult: {why}"[:MAX_ERROR_CHARS], None, None)


def _storable(text: str) -> str:
    """Without what a Postgres text cannot hold: NUL and lone surrogates."""
    return text.replace("\0", "\\0").encode(errors="backslashreplace").decode()


def _ascii(text: str) -> str:
    """For a database whose encoding lacks a character of it."""
    return text.encode("ascii", errors="backslashreplace").decode()


def _type(value: object) -> str:
    return f"a {type(value).__name__}"


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")
