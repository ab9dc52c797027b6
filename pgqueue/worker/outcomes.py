"""What became of an attempt, as a value. Whatever a handler returned or raised is turned into one of these, here."""

from __future__ import annotations

import asyncio
import json
import random
from datetime import timedelta
from typing import Any, Final, NamedTuple

import psycopg
from pydantic_core import to_json

from pgqueue.backoff import pause_after
from pgqueue.calls import ClaimedJob
from pgqueue.control import Cancel, Control, Discard, Retry, Snooze
from pgqueue.errors import ArgumentsTooNew, InvalidJob, TransactionEnded
from pgqueue.job import has_nul
from pgqueue.retry_on import retries
from pgqueue.task import Task
from pgqueue.worker.description import (
    MAX_ERROR_CHARS,
    ascii_only,
    describe,
    fingerprint,
    leaves,
    message,
    storable,
    trace,
)
from pgqueue.worker.retry_after import retry_after

MAX_RESULT_BYTES: Final = 1_048_576

AnyTask = Task[..., ..., Any]


class Completed(NamedTuple):
    """The handler returned.

    result:      what, as JSON text; None for nothing.
    result_ttl:  for how long it can be read; None: as long as the job is kept.
    """

    job: ClaimedJob
    result: str | None
    result_ttl: timedelta | None = None


class Lost(NamedTuple):
    """The worker was declared dead meanwhile: somebody else has the job, and there is nothing to report."""

    job: ClaimedJob


class Recorded(NamedTuple):
    """The handler returned, and that is on record already: committed with what it wrote."""

    job: ClaimedJob


class Failed(NamedTuple):
    """The handler raised, timed out, or could not be called.

    error:        type and message, one line.
    traceback:    where; None when no code of the application was reached.
    retry_in:     pause before the next attempt, if one is left; None to give up.
    fingerprint:  to count such failures by; None: that of the error's type.
    """

    job: ClaimedJob
    error: str
    traceback: str | None
    retry_in: timedelta | None
    fingerprint: str | None = None


class Snoozed(NamedTuple):
    """It starts again later. The attempt is not counted. reason: shown as its error meanwhile."""

    job: ClaimedJob
    delay: timedelta
    reason: str


class Cancelled(NamedTuple):
    """It ends as cancelled. reason: None for that of who asked it to stop."""

    job: ClaimedJob
    reason: str | None


class Unknown(NamedTuple):
    """Nobody here knows its kind: it waits for a worker that does. The attempt is not counted."""

    job: ClaimedJob


class Released(NamedTuple):
    """Given back: it was never started, or the worker had no time to let it finish. The attempt is not counted."""

    job: ClaimedJob


Outcome = Completed | Recorded | Failed | Snoozed | Cancelled | Unknown | Released | Lost


def of_result(job: ClaimedJob, task: AnyTask, result: Any) -> Outcome:
    """The outcome of a handler that returned. A result that cannot be stored fails this job alone, for good: running
    it again would only repeat its effects."""
    if result is None:
        return Completed(job, None)
    if isinstance(result, Recorded):
        return result
    if isinstance(result, Control) or (isinstance(result, type) and issubclass(result, Control)):
        return _of_returned(job, task, result)
    try:
        text = to_json(result, inf_nan_mode="constants").decode()
        if "NaN" in text or "Infinity" in text:
            json.loads(text, parse_constant=_refuse_constant)
    except Exception as error:  # a type's own serializer may raise anything
        return _invalid(job, f"{_type(result)} cannot be stored as JSON: {message(error)}")
    if has_nul(text):
        return _invalid(job, "a string in it holds the character U+0000, which Postgres refuses")
    if len(text) > MAX_RESULT_BYTES:
        size = f"{len(text):,} characters; the limit is {MAX_RESULT_BYTES:,}"
        return _invalid(job, f"it takes {size}: store the data elsewhere and return its key")
    ttl = task.options.result_ttl
    return Completed(job, text, None if ttl is None else timedelta(seconds=ttl))


def of_error(job: ClaimedJob, task: AnyTask, error: BaseException) -> Outcome:
    """The outcome of a handler that raised or was stopped."""
    if isinstance(error, BaseExceptionGroup):  # as a TaskGroup wraps what one of its tasks said
        inside = list(leaves(error))
        error = inside[0] if len(inside) == 1 and isinstance(inside[0], Control) else error
    if isinstance(error, Control):
        return _of_control(job, task, error)
    options, mark = task.options, fingerprint(error, task.function.__module__)
    again = retries(error, options.retry_on, options.give_up_on)
    if isinstance(error, TransactionEnded):  # it would only do it again
        again = False
    if again and (asked := retry_after(error)) is not None:
        reason = f"Retry-After: {asked:g} s, asked for by {describe(error)}"
        return Snoozed(job, timedelta(seconds=asked), reason[:MAX_ERROR_CHARS])
    pause = pause_after(options.backoff, job.attempt, error) if again else None
    if isinstance(error, asyncio.CancelledError):
        told = f"CancelledError: {message(error) or 'the handler was cancelled from inside'}"
        return Failed(job, told, None, pause, mark)
    return Failed(job, describe(error), trace(error, task.function.__module__), pause, mark)


def of_misfit(job: ClaimedJob, task: AnyTask, error: BaseException) -> Outcome:
    """The outcome of a job whose handler could not be called with its arguments."""
    match error:
        case InvalidJob():  # they do not fit, and the same arguments never will
            return Failed(job, describe(error), None, None)
        case ArgumentsTooNew():  # as a kind that is not known here: a deploy may bring the handler
            return Snoozed(job, timedelta(seconds=random.uniform(30, 60)), describe(error))
        case _:  # a validator of the application's own
            return of_error(job, task, error)


def of_refusal(outcome: Outcome, error: psycopg.DataError) -> Outcome:
    """What to report in place of an outcome that the database cannot store."""
    match outcome:
        case Failed():
            text = None if outcome.traceback is None else ascii_only(outcome.traceback)
            return outcome._replace(error=ascii_only(outcome.error), traceback=text)
        case Snoozed():
            return outcome._replace(reason=ascii_only(outcome.reason))
        case Cancelled(reason=str(reason)):
            return outcome._replace(reason=ascii_only(reason))
        case _:
            return _invalid(outcome.job, f"Postgres cannot store it: {ascii_only(message(error))}")


def _of_control(job: ClaimedJob, task: AnyTask, said: Control) -> Outcome:
    """The outcome of a handler that said what is to become of its job."""
    match said:
        case Snooze():
            return Snoozed(job, timedelta(seconds=said.delay), _told(said))
        case Cancel():
            return Cancelled(job, storable(str(said.reason))[:MAX_ERROR_CHARS])
        case Discard():
            pause = None
        case Retry(delay=float(delay)):
            pause = timedelta(seconds=delay)
        case _:
            pause = pause_after(task.options.backoff, job.attempt, said)
    module = task.function.__module__
    where = None if said.__traceback__ is None else trace(said, module)
    return Failed(job, _told(said), where, pause, fingerprint(said, module))


def _of_returned(job: ClaimedJob, task: AnyTask, result: Any) -> Outcome:
    """The outcome of a control value that was returned; of a class, as `raise` makes an object of it."""
    try:
        said = result() if isinstance(result, type) else result
    except Exception as error:  # it needs arguments
        return of_error(job, task, error)
    return _of_control(job, task, said)


def _told(said: Control) -> str:
    """'Retry: the reason', or that of the error it was raised from."""
    cause = said.__cause__ or (None if said.__suppress_context__ else said.__context__)
    if said.reason is None and cause is not None:
        return f"{type(said).__name__}: {describe(cause)}"[:MAX_ERROR_CHARS]
    return describe(said)


def _invalid(job: ClaimedJob, why: str) -> Failed:
    return Failed(job, f"InvalidResult: {why}"[:MAX_ERROR_CHARS], None, None)


def _type(value: object) -> str:
    return f"a {type(value).__name__}"


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")
