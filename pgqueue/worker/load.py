"""What one lane takes along on one trip."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from pgqueue.calls import ClaimedJob
from pgqueue.worker.outcomes import Completed, Outcome
from pgqueue.worker.station import Ask


@dataclass(slots=True)
class Load:
    """What one lane takes along on one trip.

    worker:     under whose id.
    completed:  jobs that returned nothing, nearly all; results: those that returned something.
    others:     outcomes that are seldom.
    """

    worker: int
    completed: list[ClaimedJob] = field(default_factory=list)
    results: list[Completed] = field(default_factory=list)
    others: list[Outcome] = field(default_factory=list)
    asks: list[Ask] = field(default_factory=list)
    journal: bool = False
    """Whether it is time to take along what running jobs say."""

    def __bool__(self) -> bool:
        return bool(self.completed or self.results or self.others or self.asks or self.journal)

    @property
    def jobs(self) -> list[ClaimedJob]:
        """All whose outcome is handed in."""
        return [*self.completed, *(outcome.job for outcome in (*self.results, *self.others))]

    def apart(self) -> Iterator[Load]:
        """A load for each outcome that the database could refuse, and one for the rest."""
        if self.completed:
            yield Load(self.worker, completed=self.completed)
        yield from (Load(self.worker, results=[outcome]) for outcome in self.results)
        yield from (Load(self.worker, others=[outcome]) for outcome in self.others)

    @property
    def swept(self) -> bool:
        """Whether the claim ignores the cursors: one queue that needs it takes the others along."""
        return any(ask.swept for ask in self.asks)
