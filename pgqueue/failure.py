"""What an `on_failed` hook is told, and how a plain function becomes one.

The hook of a kind is a job of its own, `<kind>:on_failed`, that pgqueue.fail enqueues in the transaction that ends the
job as failed. So it is neither lost nor doubled, its own failure is on record like any other, and changes nothing for
the job.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from pgqueue.context import JobContext
from pgqueue.errors import ConfigurationError
from pgqueue.job import show

HOOK_TIMEOUT: Final = 60.0
"""Seconds that a hook may run which is a plain function; a task has its own."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A job that ended as failed, for its `on_failed` hook."""

    id: int
    """Of the job, as `pgqueue jobs show` takes it."""
    kind: str
    queue: str
    args: dict[str, Any]
    """The job's arguments as the view `pgqueue.jobs` shows them: JSON, with *** in place of secrets."""
    error: str
    """Of the last attempt: type and message."""
    traceback: str | None
    """Of the last attempt; None when its worker died, and where no code of the application was reached."""
    fingerprint: str
    """The same for errors of one type from one place, whatever their message."""
    attempt: int
    """The number of the last attempt."""
    max_attempts: int
    created_at: datetime
    """When the job was enqueued."""
    failed_at: datetime


def hook_of(kind: str) -> str:
    """The kind of a kind's hook."""
    return f"{kind}:on_failed"


def is_hook(kind: str) -> bool:
    """Whether it is the kind of some kind's hook."""
    return kind.endswith(":on_failed")


def check_hook(given: object) -> None:
    """Refuses what cannot be a hook: it takes the failure, after the context if it wants that."""
    if not callable(given) or isinstance(given, type):
        raise ConfigurationError(f"on_failed {show(given)} is no function or task; give one that takes a Failure")
    if _count(given) not in (1, 2):
        raise ConfigurationError(f"on_failed {show(given)} must take one argument, the Failure")


def as_handler(function: Callable[..., Any]) -> Callable[..., Any]:
    """A handler for the jobs of a hook, from a function of any shape that `check_hook` lets pass."""
    given = function
    takes_context = _count(function) == 2

    def call(context: JobContext, failure: Failure) -> Any:
        return given(context, failure) if takes_context else given(failure)

    async def call_async(context: JobContext, failure: Failure) -> Any:
        return await call(context, failure)

    handler = call_async if inspect.iscoroutinefunction(function) else call
    handler.__module__ = str(getattr(function, "__module__", None))
    handler.__qualname__ = str(getattr(function, "__qualname__", type(function).__qualname__))
    return handler


def _count(function: Callable[..., Any]) -> int:
    """How many arguments it needs; 1 where it does not say."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return 1
    needed = [each for each in parameters if each.default is each.empty]
    if any(each.kind is each.KEYWORD_ONLY for each in needed):
        return 0
    return sum(each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD) for each in needed) or int(
        bool(parameters)
    )
