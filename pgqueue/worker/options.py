"""What a worker can be told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from pgqueue.errors import ConfigurationError, InvalidJob
from pgqueue.job import DEFAULT_QUEUE, check_queue

DEFAULT_SLOTS: Final = 50
"""Jobs of one queue that run at the same time, unless said otherwise."""


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """How a worker works; every field has a default that does.

    queues:    queue name → slots, how many of its jobs run at the same time in this process.
    drain:     stop once nothing is left that could run now, instead of waiting for more.
    grace:     seconds that running jobs may take to finish after the worker was told to stop.
    max_jobs:  stop after that many jobs; None for no limit.
    max_time:  stop after that many seconds; None for no limit.
    poll:      seconds between looks at a silent queue, in case a notification was lost.
    connections: how many connections transactional handlers and `ctx.once` may use at the same time, opened when one is
               needed; a job waits for one in its slot.
    name:      how it is called in views and logs; None for host:pid.
    direct_dsn: how to reach the server past a pooler, for the connection that listens and the one that shows that the
               worker lives; None: as all others.

    Raises `ConfigurationError`.
    """

    queues: Mapping[str, int] = field(default_factory=lambda: {DEFAULT_QUEUE: DEFAULT_SLOTS})
    drain: bool = False
    grace: float = 30.0
    max_jobs: int | None = None
    max_time: float | None = None
    poll: float = 30.0
    connections: int = 10
    name: str | None = None
    direct_dsn: str | None = None

    def __post_init__(self) -> None:
        if not self.queues:
            raise ConfigurationError("a worker needs a queue to serve; give --queue NAME")
        for queue, slots in self.queues.items():
            try:
                check_queue(queue)
            except InvalidJob as error:
                raise ConfigurationError(str(error)) from error
            if not 1 <= slots <= 10_000:
                raise ConfigurationError(f"queue {queue} was given {slots} slots; use 1 to 10000")
        for what, value, low in (("grace", self.grace, 0), ("poll", self.poll, 0.01), ("max_time", self.max_time, 0)):
            if value is not None and not low <= value < 1e9:
                raise ConfigurationError(f"{what} {value} is out of range; use seconds, at least {low}")
        if not 1 <= self.connections <= 1_000:
            raise ConfigurationError(f"connections {self.connections} is out of range; use 1 to 1000")
        if self.max_jobs is not None and self.max_jobs < 1:
            raise ConfigurationError(f"max_jobs {self.max_jobs} is out of range; use at least 1")
