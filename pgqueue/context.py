"""What a handler is told about the job it runs."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, ParamSpec, overload

from pgqueue.errors import AttemptCancelled, ConfigurationError, JobTimeout
from pgqueue.resources import Resources
from pgqueue.teller import JobLogger

P = ParamSpec("P")


@dataclass(frozen=True, slots=True)
class JobContext:
    """What a handler may know about the job it runs.

    Declare it as the first parameter: `def charge(ctx: JobContext, invoice_id: int)`.
    """

    id: int
    kind: str
    queue: str
    attempt: int
    """Which attempt this is, from 1."""
    max_attempts: int
    run_at: datetime
    """When it was due, in UTC."""
    created_at: datetime
    """When it was enqueued, in UTC."""
    deadline: datetime | None
    """When this attempt times out, by this machine's clock; None for never. A handler in a thread watches it."""
    worker: str
    """Name of the worker that runs it."""
    log: JobLogger
    """Call it, `ctx.log("page 3 fetched")`, and the line is kept with the job, where everybody sees it while it runs.
    Its methods, `ctx.log.info(…)`, write to the worker's log alone."""
    meta: Mapping[str, Any] = field(default_factory=dict)
    """What else was enqueued with it: the job's `meta`."""

    resources: Resources = field(default_factory=Resources, repr=False, compare=False)
    """What the worker made once, by the names of its lifespans: `ctx.resources.http`."""
    _connection: Any = field(default=None, repr=False, compare=False)
    _is_over: Callable[[], bool] = field(default=lambda: False, repr=False, compare=False)
    """Whether nobody waits for this attempt any more."""
    _claims: int = field(default=0, repr=False, compare=False)
    _steps: Any = field(default=None, repr=False, compare=False)
    """Of the worker: what records steps; None where there is no worker."""

    @property
    def connection(self) -> Any:
        """What a transactional handler writes on, so that it is committed together with the job's completion.

        A psycopg `AsyncConnection` if the handler is async, else a `Connection`, in a transaction that only the worker
        may end. Which of them a type checker cannot tell; a parameter annotated with the one it is, beside the context,
        is handed the same connection. Raises `ConfigurationError` in any other handler.
        """
        if self._connection is None:
            raise ConfigurationError(
                f"{self.kind} is not transactional, so it has no connection; decorate it with @job(transactional=True)"
            )
        return self._connection

    def progress(self, fraction: float, message: str | None = None) -> None:
        """Says how far the job has come. Everybody sees it within a second, in the view jobs. Cheap to call often: only
        the latest counts, and trouble with the database does not come back here.

        fraction:  from 0 to 1.
        message:   what it is doing, of which 2,000 characters are kept; None for nothing.

        Raises `InvalidReport`.
        """
        self.log.progress(fraction, message)

    @overload
    def once(self, key: str, /) -> Any: ...
    @overload
    def once(
        self, key: str, function: Callable[P, Awaitable[Any]], /, *args: P.args, **kwargs: P.kwargs
    ) -> Awaitable[Any]: ...
    @overload
    def once(self, key: str, function: Callable[P, Any], /, *args: P.args, **kwargs: P.kwargs) -> Any: ...
    def once(self, key: str, function: Callable[..., Any] | None = None, /, *args: Any, **kwargs: Any) -> Any:
        """A step that this job takes once, over all its attempts. Awaited in an async handler, direct in a sync one.

            if await ctx.once("mail"):                          # at most once
                await send_mail()
            receipt = await ctx.once("charge", charge, 42)      # at least once, remembered

        Without a function: True the first time, False ever after. It is on record before this returns, so whatever
        comes next is never done twice; if the attempt dies right after, it is not done at all.

        With a function: calls it, with the arguments that follow, and records what it gave, as JSON, at most 1 MiB. A
        later attempt is given that, and nothing is called. If the attempt dies in between, the function is called
        again. What it raises passes, and nothing is recorded.

        key: 1 to 255 characters, unique within the job. In a transactional handler the step is part of its transaction.
        A job that is retried by hand keeps its steps.

        Raises `ClaimLost` when the job is not this attempt's any more, `InvalidJob` for a bad key or value, and errors
        of psycopg.
        """
        if self._steps is None:
            raise ConfigurationError(
                f"ctx.once of {self.kind} needs the connections of a worker, and there is none in this process; "
                "executor='process' cannot have it, executor='thread' can"
            )
        return self._steps.once(self, key, function, functools.partial(function, *args, **kwargs) if function else None)

    @property
    def cancelled(self) -> bool:
        """Whether this attempt must stop: it timed out, its job was cancelled, or its worker ends.

        Nothing can stop a thread from outside, so a sync handler that runs long asks now and then; what it returns is
        dropped. A coroutine gets CancelledError, a process is killed.
        """
        return self._is_over()

    def raise_if_cancelled(self) -> None:
        """Leaves a handler that must stop. Raises `JobTimeout` when its time is up, else `AttemptCancelled`."""
        if not self._is_over():
            return
        if self.remaining == 0:
            raise JobTimeout(f"job {self.id} has used up its time")
        raise AttemptCancelled(f"job {self.id} was told to stop")

    @property
    def schedule(self) -> str | None:
        """Name of the schedule that enqueued it; None if it was none."""
        name = self.meta.get("schedule")
        return name if isinstance(name, str) else None

    @property
    def due_at(self) -> datetime | None:
        """The moment of the schedule that it is for, which may have been missed long ago; None without a schedule."""
        moment = self.meta.get("due_at")
        return datetime.fromisoformat(moment) if self.schedule is not None and isinstance(moment, str) else None

    @property
    def is_last_attempt(self) -> bool:
        """Whether a failure now would be final."""
        return self.attempt >= self.max_attempts

    @property
    def remaining(self) -> float | None:
        """Seconds until the deadline, 0 when it has passed; None without one."""
        if self.deadline is None:
            return None
        return max(0.0, (self.deadline - datetime.now(UTC)).total_seconds())
