"""Threads for sync handlers.

Not `loop.run_in_executor`: that wakes the event loop once for each result. Here results gather while the loop is busy
and one wake-up brings them all.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, Final

from pgqueue.worker.logs import log

MANY: Final = 10
"""Abandoned threads at which the log speaks of them, and again at each doubling."""

Work = tuple[asyncio.Future[Any], Callable[[], Any], contextvars.Context]


class Threads:
    """As many threads as there are calls under way, started when needed, kept for the next.

    They are daemons: a handler that never returns must not keep the process from ending.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._todo: SimpleQueue[Work] = SimpleQueue()
        self._done: deque[tuple[asyncio.Future[Any], Any, BaseException | None]] = deque()
        self._signalled = False
        self._busy = 0
        self._count = 0
        self._abandoned = 0
        self._warn_at = MANY

    def call(self, function: Callable[[], Any]) -> asyncio.Future[Any]:
        """Runs `function` in a thread; the future has its result or its error.

        Cancelling the future abandons the call: the thread goes on until the function returns, then its result is
        dropped. Nothing can stop a thread from outside. A call that was cancelled before it began never begins.
        """
        future = self._loop.create_future()
        self._busy += 1
        if self._busy > self._count:
            self._count += 1
            threading.Thread(target=self._work, name=f"pgqueue-handler-{self._count}", daemon=True).start()
        self._todo.put((future, function, contextvars.copy_context()))
        return future

    async def result(self, function: Callable[[], Any]) -> Any:
        """As `call`, awaited. Calls that are abandoned are counted."""
        future = self.call(function)
        try:
            return await future
        except asyncio.CancelledError:
            if future.cancelled():
                self._abandon()
            raise

    def _abandon(self) -> None:
        self._abandoned += 1
        if self._abandoned >= self._warn_at:
            log.warning(
                "%d threads run handlers that timed out or were cancelled; let them ask ctx.cancelled, or give them "
                'executor="process"',
                self._abandoned,
            )
            self._warn_at *= 2
        elif self._abandoned < MANY:
            self._warn_at = MANY

    def _work(self) -> None:
        while True:
            future, function, context = self._todo.get()
            try:
                self._done.append((future, None if future.cancelled() else context.run(function), None))
            except BaseException as error:  # SystemExit in a handler fails its job, not this thread
                self._done.append((future, None, error))
            del future, function, context  # what a job held is free before the next one comes
            if not self._signalled:
                self._signalled = True
                try:
                    self._loop.call_soon_threadsafe(self._deliver)
                except RuntimeError:  # the loop is closed: the worker ended without this call
                    return

    def _deliver(self) -> None:
        self._signalled = False  # before the first pop: whoever adds from now on signals again
        while self._done:
            future, result, error = self._done.popleft()
            self._busy -= 1
            if future.cancelled():
                self._abandoned -= 1
                continue
            if error is None:
                future.set_result(result)
            elif isinstance(error, StopIteration | GeneratorExit):  # a future refuses one, the other closes a coroutine
                future.set_exception(RuntimeError(f"handler raised {error!r}"))
            else:
                future.set_exception(error)
