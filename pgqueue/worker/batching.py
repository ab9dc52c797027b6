"""`@job(batch=…)`: many jobs of one kind run in one slot, as one call, each with an outcome of its own.

A slot that comes to a job of such a kind takes along those of that kind that wait in the station, up to the size of the
batch. It never waits for more: what comes meanwhile is the next batch, so batches grow with load by themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from pgqueue.batch import ARGUMENT, Batch, Item, Mark
from pgqueue.calls import ClaimedJob
from pgqueue.control import Retry, Snooze
from pgqueue.errors import ClaimLost
from pgqueue.task import Task, registry
from pgqueue.worker.outcomes import Completed, Outcome, Recorded, Released, of_error, of_misfit, of_result

AnyTask = Task[..., ..., Any]


class Face(ClaimedJob):
    """The first job of a batch, to stand for all; without a claim, as no step or outcome is recorded for it alone."""

    jobs: Sequence[ClaimedJob]
    """All of the batch. What the handler says is kept with the first, without the secrets of any."""


class Assembly:
    """Jobs that run together. misfits: outcomes of those whose arguments do not fit; they do not run."""

    def __init__(self, task: AnyTask, jobs: Sequence[ClaimedJob]) -> None:
        self.task = task
        self.misfits: list[Outcome] = []
        self._outcomes: list[Outcome] = []
        self.jobs: list[ClaimedJob] = []
        items: list[Item[Any]] = []
        for job in jobs:
            try:
                args = task.arguments(job.args, job.meta)[ARGUMENT]
            except Exception as error:
                self.misfits.append(of_misfit(job, task, error))
            else:
                self.jobs.append(job)
                items.append(Item(job.id, job.attempt, args))
        self.batch = AssembledBatch(self, items)

    @property
    def limit(self) -> float | None:
        """Seconds the whole may run: the shortest time any of them has; None for no limit."""
        limits = [self.task.timeout if job.timeout is None else job.timeout.total_seconds() for job in self.jobs]
        return min((limit for limit in limits if limit is not None), default=None)

    @property
    def arguments(self) -> dict[str, Any]:
        """What the handler is called with."""
        assert self.task.takes_batch is not None
        return {self.task.takes_batch: self.batch}

    @property
    def face(self) -> Face:
        """What stands for all of them."""
        face = Face(*self.jobs[0]._replace(claims=0))
        face.jobs = self.jobs
        return face

    def returned(self, result: Any) -> list[Outcome]:
        """What becomes of each after the handler returned.

        result: what it returned; `Recorded` if that was committed: what completed is on record already.
        """
        if isinstance(result, Recorded):
            return [Recorded(told.job) if isinstance(told, Completed) else told for told in self._outcomes]
        self._outcomes = [
            of_result(job, self.task, result) if item.mark is None else self._marked(job, item.mark)
            for job, item in zip(self.jobs, self.batch, strict=True)
        ]
        return self._outcomes

    def raised(self, error: BaseException) -> list[Outcome]:
        """What becomes of each after the handler raised, or ran too long.

        If that was because the claim on one of them was lost, the others go back without having lost an attempt.
        """
        if isinstance(error, ClaimLost) and self.task.options.transactional:
            return self._unless_marked(Released)
        return self._unless_marked(lambda job: of_error(job, self.task, error))

    def released(self) -> list[Outcome]:
        """What becomes of each when the worker has no time to let them finish."""
        return self._unless_marked(Released)

    def _unless_marked(self, otherwise: Callable[[ClaimedJob], Outcome]) -> list[Outcome]:
        """As they were marked; but what a transactional handler had completed was undone with its transaction."""
        undone = "complete" if self.task.options.transactional else None
        return [
            otherwise(job) if item.mark is None or item.mark.what == undone else self._marked(job, item.mark)
            for job, item in zip(self.jobs, self.batch, strict=True)
        ]

    def _marked(self, job: ClaimedJob, mark: Mark) -> Outcome:
        match mark.what:
            case "complete":
                return of_result(job, self.task, mark.value)
            case "fail":
                return of_error(job, self.task, mark.value)
            case "retry":
                return of_error(job, self.task, Retry(mark.value, mark.reason))
            case _:
                return of_error(job, self.task, Snooze(mark.value, mark.reason))


def per_slot(queue: str) -> int:
    """How many jobs of a queue a slot may take at once, by the handlers that are registered now."""
    return max((task.options.batch or 1 for task in registry.values() if task.options.queue == queue), default=1)


def alike(task: AnyTask) -> Callable[[ClaimedJob], bool]:
    """Whether a job is one of the task's, under any of its names."""
    return lambda job: registry.get(job.kind) is task


class AssembledBatch(Batch[Any]):
    """A batch that knows what it was made of."""

    __slots__ = ("assembly",)

    def __init__(self, assembly: Assembly, items: Sequence[Item[Any]]) -> None:
        super().__init__(items)
        self.assembly = assembly
