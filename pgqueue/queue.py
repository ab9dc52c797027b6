"""A queue by name, with the options its jobs start with."""

from __future__ import annotations

from dataclasses import dataclass

from pgqueue.backoff import AnyBackoff, backoff_of
from pgqueue.errors import ConfigurationError, InvalidJob
from pgqueue.job import DEFAULT_MAX_ATTEMPTS, DEFAULT_PRIORITY, Job, Seconds, seconds, show


@dataclass(frozen=True, slots=True)
class Queue:
    """Defaults for the tasks of one queue: `@job(queue=Queue("billing", max_attempts=3))`.

    They are those of `@job`, which overrides them one by one. They live in the producer's code: the database knows
    nothing of them, and who enqueues from SQL gives the options there.

    name:          1 to 63 letters, digits, '.', '_', '-'.
    priority:      0 (first) to 9 (last); None: the default, 5.
    max_attempts:  the attempt after which a failure is final; None: the default, 20.
    timeout:       longest run time of one attempt, seconds or timedelta; None for no limit.
    backoff:       pauses between attempts; None for `Backoff()`.
    expires_in:    no attempt starts later than so long after a job may start, seconds or timedelta; None for never.

    Raises `ConfigurationError`.
    """

    name: str
    priority: int | None = None
    max_attempts: int | None = None
    timeout: Seconds | None = None
    backoff: AnyBackoff | None = None
    expires_in: Seconds | None = None

    def __post_init__(self) -> None:
        try:
            Job(  # has the rules
                "any",
                queue=self.name,
                priority=DEFAULT_PRIORITY if self.priority is None else self.priority,
                max_attempts=DEFAULT_MAX_ATTEMPTS if self.max_attempts is None else self.max_attempts,
                expires_in=self.expires_in,
            )
            if self.timeout is not None:
                seconds("timeout", self.timeout)
            backoff_of(self.backoff)
        except (ConfigurationError, InvalidJob) as error:
            raise ConfigurationError(f"Queue {show(self.name)}: {error}") from error

    def __str__(self) -> str:
        return self.name
