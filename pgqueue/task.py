"""`@job`: a function under a name, with the options its jobs start with.

A task stays the function it was: calling it calls the function. `task.job(…)` takes the same arguments, checked by
the type checker at the call site and by pydantic when the job is made, and gives a `Job` to enqueue. Workers find
tasks by name in `registry`; a name from the database that is not there is never imported.
"""

from __future__ import annotations

import functools
import inspect
import typing
from collections.abc import Callable, Iterable
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar, overload

from pgqueue.arguments import Arguments
from pgqueue.context import JobContext
from pgqueue.errors import ConfigurationError, InvalidJob, UnknownKind
from pgqueue.job import (
    DEFAULT_MAX_ATTEMPTS,
    DEFAULT_PRIORITY,
    DEFAULT_QUEUE,
    Job,
    RetryPolicy,
    Seconds,
    check_kind,
    seconds,
    show,
)

P = ParamSpec("P")
"""Arguments of a job."""
C = ParamSpec("C")
"""Arguments of the function: those of the job, after the context if it takes one."""
R = TypeVar("R")

registry: dict[str, Task[..., ..., Any]] = {}
"""Every task of this process, by name and by alias."""


class Task(Generic[P, C, R]):
    """A function that jobs can name. Made by `@job`."""

    __name__: str
    __qualname__: str

    def __init__(
        self, function: Callable[C, R], name: str, backoff: RetryPolicy | None, timeout: float | None, template: Job
    ) -> None:
        functools.update_wrapper(self, function)
        self.function = function
        self.name = name
        self.where = f"{function.__module__}.{function.__qualname__}"
        self.backoff = backoff
        """Pauses between attempts; None for the worker's default."""
        self.timeout = timeout
        """Seconds one attempt may run unless its job says otherwise; None for no limit."""
        self.is_async = inspect.iscoroutinefunction(function)
        self._template = template
        self._arguments = Arguments(name, function)
        self.takes_context = self._arguments.takes_context

    def __call__(self, /, *args: C.args, **kwargs: C.kwargs) -> R:
        """Calls the function, here and now."""
        return self.function(*args, **kwargs)

    def job(self, /, *args: P.args, **kwargs: P.kwargs) -> Job:
        """A job that will call the function with these arguments, with the task's options.

        Raises `InvalidJob` when they do not fit its parameters or their type hints.
        """
        plain = self._arguments.dump(args, kwargs)
        template = self._template
        return Job(
            self.name,
            plain,
            queue=template.queue,
            priority=template.priority,
            max_attempts=template.max_attempts,
            timeout=template.timeout,
        )

    def arguments(self, payload: str) -> dict[str, Any]:
        """The function's keyword arguments, from the JSON text that the database holds.

        Raises `InvalidJob` when they do not fit.
        """
        return self._arguments.load(payload)

    def __repr__(self) -> str:
        return f"<Task {self.name}>"


@overload
def job(function: Callable[Concatenate[JobContext, P], R], /) -> Task[P, Concatenate[JobContext, P], R]: ...


@overload
def job(function: Callable[P, R], /) -> Task[P, P, R]: ...


@overload
def job(
    *,
    name: str | None = None,
    queue: str = DEFAULT_QUEUE,
    priority: int = DEFAULT_PRIORITY,
    max_attempts: int = DEFAULT_MAX_ATTEMPTS,
    timeout: Seconds | None = None,
    backoff: RetryPolicy | None = None,
    aliases: Iterable[str] = (),
) -> _Decorator: ...


def job(
    function: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    queue: str = DEFAULT_QUEUE,
    priority: int = DEFAULT_PRIORITY,
    max_attempts: int = DEFAULT_MAX_ATTEMPTS,
    timeout: Seconds | None = None,
    backoff: RetryPolicy | None = None,
    aliases: Iterable[str] = (),
) -> Any:
    """Makes a function, sync or async, the handler of jobs of its name.

    name:          the jobs' kind; the function's name unless given. Never the module path, so code may move.
    queue:         where its jobs go unless they say otherwise.
    priority:      0 (first) to 9 (last).
    max_attempts:  the attempt after which a failure is final.
    timeout:       longest run time of one attempt, seconds or timedelta; None for no limit.
    backoff:       pauses between attempts: a `Backoff`, or anything with its method `pause`; `Backoff()` unless given.
    aliases:       former names, under which waiting jobs still run.

    A first parameter annotated `JobContext` is given the job's context; every other parameter is an argument.

    Raises `ConfigurationError` for options that cannot work and for a name that another function has.
    """

    def decorate(function: Callable[..., Any]) -> Task[..., ..., Any]:
        if isinstance(function, staticmethod):
            function = function.__func__
        _check_function(function)
        kind = name if name is not None else function.__name__
        former = [aliases] if isinstance(aliases, str) else list(aliases)
        try:
            template = Job(kind, {}, queue=queue, priority=priority, max_attempts=max_attempts)
            limit = None if timeout is None else seconds("timeout", timeout)
            for alias in former:
                check_kind(alias)
        except InvalidJob as error:
            raise ConfigurationError(f"@job of {function.__qualname__}: {error}") from error
        if backoff is not None and not isinstance(backoff, RetryPolicy):
            raise ConfigurationError(
                f"@job of {function.__qualname__}: backoff {backoff!r} has no method pause(attempt)"
            )
        task: Task[..., ..., Any] = Task(function, kind, backoff, limit, template)
        for key in (kind, *former):
            _register(key, task)
        return task

    return decorate if function is None else decorate(function)


class _Decorator(typing.Protocol):
    """What `@job(…)` with options returns."""

    @overload
    def __call__(
        self, function: Callable[Concatenate[JobContext, P], R], /
    ) -> Task[P, Concatenate[JobContext, P], R]: ...

    @overload
    def __call__(self, function: Callable[P, R], /) -> Task[P, P, R]: ...


def find(kind: str) -> Task[..., ..., Any]:
    """The task of that name. Raises `UnknownKind`."""
    task = registry.get(kind)
    if task is None:
        known = ", ".join(sorted(registry)) or "none"
        raise UnknownKind(f"no handler is registered under {kind!r}; known here: {known}")
    return task


def _register(kind: str, task: Task[..., ..., Any]) -> None:
    before = registry.get(kind)
    if before is not None and before.where != task.where:
        raise ConfigurationError(
            f"two functions are registered as {kind!r}: {before.where} and {task.where}; give one of them name=…"
        )
    registry[kind] = task


def _check_function(function: object) -> None:
    """Refuses what has no name, such as a partial, and what a call would not run."""
    if not callable(function) or isinstance(function, type | Task) or not hasattr(function, "__qualname__"):
        raise ConfigurationError(f"@job was put on {show(function)}; it goes on a function")
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise ConfigurationError(
            f"@job of {function.__qualname__}: it has a yield, so a call only makes a generator; return a value instead"
        )
