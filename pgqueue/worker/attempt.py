"""One attempt at a job, and the shape of what may stand around its handler."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol

from pgqueue.calls import ClaimedJob
from pgqueue.context import JobContext
from pgqueue.task import Task

Arguments = dict[str, Any]
"""Of a handler, by name."""


class Place(Protocol):
    """Where an attempt runs: a slot."""

    def holds(self, job: ClaimedJob) -> bool:
        """Whether that job still runs here and nobody has told it to stop."""

    def begin(self) -> None:
        """The attempt begins only now: what it may take counts from here."""


@dataclass(slots=True, eq=False)
class Attempt:
    """One attempt at a job, for what stands around its handler."""

    task: Task[..., ..., Any]
    job: ClaimedJob
    arguments: Arguments
    context: JobContext
    limit: float | None
    """Seconds it may run; None for no limit."""
    place: Place


Inside = Callable[[Attempt], Awaitable[Any]]
"""What a layer stands around: more layers, and the handler itself."""
Layer = Callable[[Attempt, Inside], Awaitable[Any]]
"""Stands around a handler: `async def layer(attempt, inside): …; return await inside(attempt)`."""
