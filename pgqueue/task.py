"""`@job`: a function under a name, with the options its jobs start with.

A task stays the function it was: calling it calls the function. `task.job(…)` takes the same arguments, checked by
the type checker at the call site and by pydantic when the job is made, and gives a `Job` to enqueue. Workers find
tasks by name in `registry`; a name from the database that is not there is never imported.
"""

from __future__ import annotations

import functools
import inspect
import sys
import typing
from collections.abc import Callable
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar, Unpack, overload

from pgqueue.arguments import Arguments
from pgqueue.batch import Batch, of_one, takes_batch
from pgqueue.context import JobContext
from pgqueue.errors import ConfigurationError, UnknownKind
from pgqueue.failure import HOOK_TIMEOUT, as_handler, hook_of
from pgqueue.handed import Connection, check_handed
from pgqueue.hygiene import Watch, watches
from pgqueue.job import Job, show
from pgqueue.options import JobOptions, TaskOptions
from pgqueue.versions import Versions, note

P = ParamSpec("P")
"""Arguments of a job."""
C = ParamSpec("C")
"""Arguments of the function: those of the job, after the context if it takes one."""
R = TypeVar("R")
X = TypeVar("X", bound=Connection)
"""A connection that a transactional handler is handed in, right after the context if it takes one."""
T = TypeVar("T")
"""What one job of a batch handler is made with."""

registry: dict[str, Task[..., ..., Any]] = {}
"""Every task of this process, by name and by alias."""


class Task(Generic[P, C, R]):
    """A function that jobs can name. Made by `@job`."""

    __name__: str
    __qualname__: str

    def __init__(self, function: Callable[C, R], options: TaskOptions) -> None:
        functools.update_wrapper(self, function)
        self.function = function
        self.options = options
        self.name = options.name
        self.where = f"{function.__module__}.{function.__qualname__}"
        self.imported = getattr(sys.modules.get(function.__module__), "__spec__", None)
        """Tells one import of its module from the next; None for what was not imported."""
        self.backoff = options.backoff
        """Pauses between attempts; None for the worker's default."""
        self.timeout = options.timeout
        """Seconds one attempt may run unless its job says otherwise; None for no limit."""
        self.is_async = inspect.iscoroutinefunction(function)
        self._versions = Versions(options.version, options.upcasters)
        self._meta = note(options.version)
        one: Callable[..., Any] = function
        self.takes_batch: str | None = None
        """Which parameter takes the batch; None if it takes the arguments of one job."""
        if options.batch is not None:
            one, self.takes_batch = of_one(function, self.name)
        self._arguments = Arguments(self.name, one)
        self.takes_context = self._arguments.takes_context
        self.handed = self._arguments.handed
        """Parameters that are given a connection, and which; of a transactional task only."""
        check_handed(self.name, self.handed, options.transactional, self.is_async)
        self.takes_secrets = self._arguments.secret
        unknown = set((options.unique and options.unique.by) or ()) - set(self._arguments.signature.parameters)
        if unknown:
            raise ConfigurationError(
                f"@job of {self.__qualname__}: unique by {', '.join(sorted(unknown))}, which is none of its arguments"
            )

    def __call__(self, /, *args: C.args, **kwargs: C.kwargs) -> R:
        """Calls the function, here and now."""
        return self.function(*args, **kwargs)

    def job(self, /, *args: P.args, **kwargs: P.kwargs) -> Job:
        """A job that will call the function with these arguments, with the task's options.

        Raises `InvalidJob` when they do not fit its parameters or their type hints.
        """
        plain = self._arguments.dump(args, kwargs)
        options = self.options
        return Job(
            self.name,
            plain,
            queue=options.queue,
            priority=options.priority,
            max_attempts=options.max_attempts,
            meta=self._meta,
            expires_in=options.expires_in,
            unique=None if options.unique is None else options.unique.among(plain),
        )

    def arguments(self, payload: str, meta: str | None = None) -> dict[str, Any]:
        """The function's keyword arguments, from the JSON texts that the database holds.

        payload:  the job's args.
        meta:     the job's meta data, which says what version of the parameters args are of; None for version 1.

        Raises `InvalidJob` when they do not fit, `ArgumentsTooNew` when they are of a later version than these.
        """
        if meta is not None or self._meta is not None:
            payload = self._versions.upcast(self.name, payload, meta)
        return self._arguments.load(payload)

    def __repr__(self) -> str:
        return f"<Task {self.name}>"


@overload
def job(function: Callable[Concatenate[JobContext, P], R], /) -> Task[P, Concatenate[JobContext, P], R]: ...


@overload
def job(function: Callable[P, R], /) -> Task[P, P, R]: ...


@overload
def job(**options: Unpack[JobOptions]) -> _Decorator: ...


def job(function: Callable[..., Any] | None = None, /, **options: Unpack[JobOptions]) -> Any:
    """Makes a function, sync or async, the handler of jobs of its name. Its options: see `TaskOptions`.

    A first parameter annotated `JobContext` is given the job's context; every other parameter is an argument.

    Raises `ConfigurationError` for options that cannot work and for a name that another function has, `TypeError` for
    an option that does not exist.
    """

    def decorate(function: Callable[..., Any]) -> Task[..., ..., Any]:
        if isinstance(function, staticmethod):
            function = function.__func__
        _check_function(function)
        told = TaskOptions.of(function, options)
        if told.batch is None and takes_batch(function):
            raise ConfigurationError(f"{told.name} takes a Batch; say how many at most: @job(batch=100)")
        task: Task[..., ..., Any] = Task(function, told)
        hook = None if told.on_failed is None else _hook(task, told.on_failed)
        for key in (task.name, *told.aliases):
            _register(key, task)
            watches[key] = Watch(told.warn_bytes, told.max_bytes)
            if hook is not None:
                _register(hook_of(key), hook)
        return task

    return decorate if function is None else decorate(function)


class _Decorator(typing.Protocol):
    """What `@job(…)` with options returns."""

    @overload
    def __call__(self, function: Callable[[JobContext, Batch[T]], R], /) -> Task[[T], [JobContext, Batch[T]], R]: ...

    @overload
    def __call__(self, function: Callable[[Batch[T]], R], /) -> Task[[T], [Batch[T]], R]: ...

    @overload
    def __call__(
        self, function: Callable[Concatenate[JobContext, X, P], R], /
    ) -> Task[P, Concatenate[JobContext, X, P], R]: ...

    @overload
    def __call__(self, function: Callable[Concatenate[X, P], R], /) -> Task[P, Concatenate[X, P], R]: ...

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


def kinds() -> dict[str, str | None]:
    """What this process has handlers for, aliases included: kind → kind of its on_failed hook, None without one."""
    return {kind: hook if (hook := hook_of(kind)) in registry else None for kind in registry}


def _hook(task: Task[..., ..., Any], given: Callable[..., Any]) -> Task[..., ..., Any]:
    """The handler of the jobs that a task's failures enqueue."""
    if not isinstance(given, Task):
        return Task(as_handler(given), TaskOptions(name=hook_of(task.name), max_attempts=1, timeout=HOOK_TIMEOUT))
    if list(given._arguments.signature.parameters) != ["failure"]:
        raise ConfigurationError(
            f"@job of {task.where}: on_failed {given._arguments.shown} must take one argument, failure: Failure"
        )
    return given


def _register(kind: str, task: Task[..., ..., Any]) -> None:
    before = registry.get(kind)
    if before is not None and (before.where != task.where or _hides(task, before)):
        raise ConfigurationError(
            f"two functions are registered as {kind!r}: {_place(before)} and {_place(task)}; give one of them name=…"
        )
    registry[kind] = task


def _hides(task: Task[..., ..., Any], before: Task[..., ..., Any]) -> bool:
    """Whether one import of a module defines both, so that the first could never be called.

    A reload executes the module anew, and gives it a new spec first. What has none is typed in line by line, and a
    function inside of another is made as often as that is called: there the last one counts.
    """
    return (
        task.imported is not None
        and task.imported is before.imported
        and "<locals>" not in task.where
        and _code(task) is not _code(before)
    )


def _place(task: Task[..., ..., Any]) -> str:
    code = _code(task)
    return task.where if code is None else f"{task.where} (line {code.co_firstlineno})"


def _code(task: Task[..., ..., Any]) -> Any:
    """The code below the function's other decorators, which may share theirs."""
    return getattr(inspect.unwrap(task.function), "__code__", None)


def _check_function(function: object) -> None:
    """Refuses what has no name, such as a partial, and what a call would not run."""
    if not callable(function) or isinstance(function, type | Task) or not hasattr(function, "__qualname__"):
        raise ConfigurationError(f"@job was put on {show(function)}; it goes on a function")
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise ConfigurationError(
            f"@job of {function.__qualname__}: it has a yield, so a call only makes a generator; return a value instead"
        )
