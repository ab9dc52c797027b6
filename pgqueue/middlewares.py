"""`@middleware`: what stands around every job, such as tracing, logging or the choice of a tenant.

@middleware
def tenancy(ctx: JobContext) -> Iterator[None]:
    token = tenant.set(ctx.meta.get("tenant"))
    try:
        yield                       # the handler runs here
    finally:
        tenant.reset(token)
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from pgqueue.context import JobContext
from pgqueue.errors import ConfigurationError
from pgqueue.job import show

F = TypeVar("F", bound=Callable[[JobContext], Iterator[None] | AsyncIterator[None]])


@dataclass(frozen=True, slots=True)
class Middleware:
    """A registered middleware. open: makes a context manager of a job's context, async if `is_async`."""

    function: Callable[..., Any]
    is_async: bool
    open: Callable[[JobContext], Any]

    @property
    def where(self) -> str:
        """Module and name of the function."""
        return f"{self.function.__module__}.{self.function.__qualname__}"


middlewares: dict[str, Middleware] = {}
"""Every middleware of this process by where it stands, in the order in which they were defined: outermost first."""


def middleware(function: F) -> F:
    """Registers a generator function that takes the job's context and yields once: the handler runs at the yield.

    An error of the handler is raised there, and may be replaced, or swallowed: then the job has completed. What is
    raised before the yield is the job's outcome, and the handler does not run.

    A sync one runs where the handler runs: in its thread, in its process, or in the event loop, where it must not
    block. An async one runs in the event loop around any handler. They nest in the order in which they were defined,
    the first outermost; around a sync handler all async ones stand outside of all sync ones. What they set in context
    variables the handler sees, and no other job does.

    Raises `ConfigurationError` for what is no generator function of one parameter.
    """
    is_async = inspect.isasyncgenfunction(function)
    if not is_async and not inspect.isgeneratorfunction(function):
        raise ConfigurationError(f"@middleware was put on {show(function)}; it goes on a function with one yield")
    if len(inspect.signature(function).parameters) != 1:
        raise ConfigurationError(f"@middleware of {function.__qualname__}: it takes one parameter, the job's context")
    opener: Any = contextlib.asynccontextmanager if is_async else contextlib.contextmanager
    made = Middleware(function, is_async, opener(function))
    middlewares[made.where] = made
    return function
