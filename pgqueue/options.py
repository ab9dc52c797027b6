"""What `@job` can be told: every option, with its default, in one place."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypedDict

from pgqueue.backoff import AnyBackoff, backoff_of
from pgqueue.errors import ConfigurationError, InvalidJob
from pgqueue.failure import check_hook, hook_of
from pgqueue.hygiene import MAX_BYTES, WARN_BYTES
from pgqueue.job import (
    DEFAULT_MAX_ATTEMPTS,
    DEFAULT_PRIORITY,
    DEFAULT_QUEUE,
    Job,
    RetryPolicy,
    Seconds,
    check_kind,
    check_whole,
    seconds,
    show,
)
from pgqueue.queue import Queue
from pgqueue.retry_on import Errors, Which, errors_of
from pgqueue.unique import Unique
from pgqueue.versions import Upcaster, Versions

Executor = Literal["thread", "process"]


class JobOptions(TypedDict, total=False):
    """The keywords of `@job`, for type checkers; `TaskOptions` says what each means."""

    name: str | None
    queue: str | Queue
    priority: int
    max_attempts: int
    timeout: Seconds | None
    expires_in: Seconds | None
    unique: Unique | None
    backoff: AnyBackoff | None
    retry_on: Which | None
    give_up_on: Which | None
    on_failed: Callable[..., Any] | None
    aliases: Iterable[str]
    executor: Executor
    memory: int | None
    recycle: int | None
    transactional: bool
    batch: int | None
    result_ttl: Seconds | None
    version: int
    upcasters: Mapping[int, Upcaster]
    warn_bytes: int | None
    max_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskOptions:
    """What a task was told by `@job`.

    name:          the jobs' kind; the function's name unless given. Never the module path, so code may move.
    queue:         where its jobs go unless they say otherwise; a `Queue` also gives the defaults of other options.
    priority:      0 (first) to 9 (last).
    max_attempts:  the attempt after which a failure is final.
    timeout:       longest run time of one attempt, seconds (`@job` takes a timedelta too); None for no limit.
    expires_in:    no attempt starts later than so long after a job may start, seconds; None for never.
    unique:        while another job holds the key, no second one is made; see `Unique`.
    backoff:       pauses between attempts: a `Backoff`, `Fixed` or `Custom`, seconds for one that is always the same, a
                   function of the attempt (and the error), or anything with the method `pause(attempt)`; `Backoff()`
                   unless given.
    retry_on:      after which errors there is another attempt: a class, several, or a function of the error; None: all.
    give_up_on:    after which there is none, in the same forms; comes first. The job is a dead letter at once.
    on_failed:     what to run once when a job ended as failed: a function that takes a `Failure`, or a task whose one
                   argument is `failure`. It runs as a job of its own.
    aliases:       former names, under which waiting jobs still run.
    executor:      where a sync function runs: "thread", or "process", which can be killed.
    memory:        bytes an attempt may take in a process beyond what that had before; None for no limit. Linux only.
    recycle:       jobs after which a process is replaced by a new one; None for never.
    transactional: give the handler a connection whose transaction also records that the job completed.
    batch:         how many jobs the handler takes at once, at most 1,000; None: it takes one, without a `Batch`.
    result_ttl:    for how long a result can be read, seconds (`@job` takes a timedelta too); None: as long as its job.
    version:       that of its parameters, from 1; raise it when jobs that wait would no longer fit.
    upcasters:     for each former version a function that takes the arguments of a job of that version, as JSON holds
                   them, and returns those of the next.
    warn_bytes:    size of a job's arguments that is told in the log, once for each process; None for never.
    max_bytes:     size that is refused, at most 1 MiB.

    Raises `ConfigurationError` or `InvalidJob` for options that cannot work.
    """

    name: str
    queue: str = DEFAULT_QUEUE
    priority: int = DEFAULT_PRIORITY
    max_attempts: int = DEFAULT_MAX_ATTEMPTS
    timeout: float | None = None
    expires_in: float | None = None
    unique: Unique | None = None
    backoff: RetryPolicy | None = None
    retry_on: Errors | None = None
    give_up_on: Errors | None = None
    on_failed: Callable[..., Any] | None = None
    aliases: tuple[str, ...] = ()
    executor: Executor = "thread"
    memory: int | None = None
    recycle: int | None = None
    transactional: bool = False
    batch: int | None = None
    result_ttl: float | None = None
    version: int = 1
    upcasters: Mapping[int, Upcaster] = field(default_factory=dict)
    warn_bytes: int | None = WARN_BYTES
    max_bytes: int = MAX_BYTES

    @classmethod
    def of(cls, function: Callable[..., Any], given: JobOptions) -> TaskOptions:
        """The options of a function, from what `@job` was given.

        Raises `ConfigurationError` for one that cannot work, `TypeError` for one that does not exist.
        """
        if unknown := given.keys() - {field.name for field in dataclasses.fields(cls)}:
            raise TypeError(f"@job of {function.__qualname__}: there is no option {', '.join(sorted(unknown))}")
        try:
            options = cls(**_normal(function, given))
            if options.executor == "process" and inspect.iscoroutinefunction(function):
                raise ConfigurationError("executor='process' runs sync functions; an async one can be cancelled anyway")
            return options
        except (ConfigurationError, InvalidJob) as error:
            raise ConfigurationError(f"@job of {function.__qualname__}: {error}") from error

    def __post_init__(self) -> None:
        Job(self.name, {}, queue=self.queue, priority=self.priority, max_attempts=self.max_attempts)  # has the rules
        if self.unique is not None and not isinstance(self.unique, Unique):
            raise ConfigurationError(f"unique {show(self.unique)} is a {type(self.unique).__name__}; give a Unique(…)")
        for alias in self.aliases:
            check_kind(alias)
        Versions(self.version, self.upcasters)  # has the rules
        if self.warn_bytes is not None:
            check_whole("warn_bytes", self.warn_bytes, 0, MAX_BYTES, f"use 0 to {MAX_BYTES}, or None for never")
        check_whole("max_bytes", self.max_bytes, 2, MAX_BYTES, f"use 2 to {MAX_BYTES}")
        if self.batch is not None:
            check_whole("batch", self.batch, 1, 1_000, "use 1 to 1000")
        self._check_executor()
        if not isinstance(self.transactional, bool):
            raise ConfigurationError(f"transactional {show(self.transactional)} is neither True nor False")
        if self.on_failed is not None:
            check_hook(self.on_failed)
            for kind in (self.name, *self.aliases):
                check_kind(hook_of(kind))

    def _check_executor(self) -> None:
        if self.executor not in ("thread", "process"):
            raise ConfigurationError(f"executor {show(self.executor)} is unknown; use 'thread' or 'process'")
        for name, value in (("memory", self.memory), ("recycle", self.recycle)):
            if value is None:
                continue
            if self.executor != "process":
                raise ConfigurationError(f"{name} is of processes; use executor='process' with it")
            check_whole(name, value, 1, 2**62, "use a whole number from 1")
        if self.executor == "process" and self.transactional:
            raise ConfigurationError("a transaction cannot reach into a process; use executor='thread' with it")
        if self.executor == "process" and self.batch is not None:
            raise ConfigurationError("a batch cannot reach into a process; use executor='thread' with it")


def _normal(function: Callable[..., Any], given: JobOptions) -> dict[str, Any]:
    """As `TaskOptions` has them: seconds for a timedelta, a tuple for what is many."""
    options: dict[str, Any] = {**given}
    if options.get("name") is None:
        options["name"] = function.__name__
    if isinstance(queue := options.get("queue"), Queue):
        for name in ("priority", "max_attempts", "timeout", "backoff", "expires_in"):
            if (default := getattr(queue, name)) is not None:
                options.setdefault(name, default)
        options["queue"] = queue.name
    for name in ("timeout", "expires_in", "result_ttl"):
        if options.get(name) is not None:
            options[name] = seconds(name, options[name])
    options["backoff"] = backoff_of(options.get("backoff"))
    for which in ("retry_on", "give_up_on"):
        options[which] = errors_of(which, options.get(which))
    if "aliases" in options:
        many = options["aliases"]
        if not isinstance(many, Iterable):
            raise ConfigurationError(f"aliases {show(many)} are no names; use a list of texts")
        options["aliases"] = (many,) if isinstance(many, str) else tuple(many)
    return options
