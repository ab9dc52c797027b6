"""One attempt at a job, and the shape of what may stand around its handler."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from pgqueue.calls import ClaimedJob
from pgqueue.context import JobContext
from pgqueue.task import Task

Arguments = dict[str, Any]
"""Of a handler, by name."""


@dataclass(slots=True, eq=False)
class Attempt:
    """One attempt at a job, for what stands around its handler."""

    task: Task[..., ..., Any]
    job: ClaimedJob
    arguments: Arguments
    context: JobContext


Inside = Callable[[Attempt], Awaitable[Any]]
"""What a layer stands around: more layers, and the handler itself."""
Layer = Callable[[Attempt, Inside], Awaitable[Any]]
"""Stands around a handler: `async def layer(attempt, inside): …; return await inside(attempt)`."""
