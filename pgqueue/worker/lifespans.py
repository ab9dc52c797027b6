"""Starts what `@lifespan` declares before the first job and ends it after the last.

All in one task, since what an async lifespan opens is often bound to the task that opened it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable, Iterator
from typing import Any, Final

from pgqueue.errors import LifespanFailed
from pgqueue.lifespans import Lifespan
from pgqueue.resources import Resources
from pgqueue.worker.logs import fields, log

PATIENCE: Final = 10.0
"""Seconds that all lifespans together may take to end."""


def opened(lifespan: Lifespan, resources: Resources) -> Any:
    """The lifespan as a context manager, async if it is."""
    opener: Any = contextlib.asynccontextmanager if lifespan.is_async else contextlib.contextmanager
    return opener(lifespan.function)(*([resources] if lifespan.takes_resources else []))


@contextlib.contextmanager
def starting(lifespan: Lifespan) -> Iterator[None]:
    """Names the lifespan in what is raised inside."""
    try:
        yield
    except Exception as error:
        raise LifespanFailed(f"lifespan {lifespan.name} did not start: {type(error).__name__}: {error}") from error


class Lifespans:
    """The lifespans of one worker, in their order."""

    def __init__(self, lifespans: Iterable[Lifespan]) -> None:
        self._lifespans = list(lifespans)
        self._values: dict[str, Any] = {}
        self.resources = Resources(self._values)
        self._ready = asyncio.Event()
        self._over = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Starts them one after another. Raises `LifespanFailed`; those that had started have ended then."""
        if not self._lifespans:
            return
        self._task = asyncio.get_running_loop().create_task(self._live())
        ready = asyncio.ensure_future(self._ready.wait())
        try:
            await asyncio.wait([self._task, ready], return_when=asyncio.FIRST_COMPLETED)
        finally:
            ready.cancel()
        if self._task.done():
            self._task.result()

    async def end(self, patience: float | None = None) -> None:
        """Ends them in reverse order. Errors are logged; what takes longer than `patience` seconds (PATIENCE) is left
        behind."""
        patience = PATIENCE if patience is None else patience
        task, self._task = self._task, None
        if task is None:
            return
        self._over.set()
        if not self._ready.is_set():  # told to stop while they were starting
            task.cancel()
        await asyncio.wait([task], timeout=patience)
        if not task.done():
            log.warning("ended without lifespans that took longer than %g s to end", patience)
            task.cancel()
            await asyncio.wait([task], timeout=1)

    async def _live(self) -> None:
        started: list[tuple[Lifespan, Any]] = []
        try:
            for lifespan in self._lifespans:
                with starting(lifespan):
                    manager = opened(lifespan, self.resources)
                    enter = manager.__aenter__() if lifespan.is_async else asyncio.to_thread(manager.__enter__)
                    self._values[lifespan.name] = await enter
                started.append((lifespan, manager))
            self._ready.set()
            await self._over.wait()
        finally:
            for lifespan, manager in reversed(started):
                await self._close(lifespan, manager)

    async def _close(self, lifespan: Lifespan, manager: Any) -> None:
        try:
            if lifespan.is_async:
                await manager.__aexit__(None, None, None)
            else:
                await asyncio.to_thread(manager.__exit__, None, None, None)
        except Exception as error:
            log.error("lifespan did not end well", exc_info=error, extra=fields(lifespan=lifespan.name))
