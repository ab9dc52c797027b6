"""The worker: claims jobs, runs their handlers, reports what became of them. See `loop.py` for its parts."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Callable

from pgqueue.worker.logs import log
from pgqueue.worker.loop import Worker
from pgqueue.worker.options import DEFAULT_SLOTS, WorkerOptions

__all__ = ["DEFAULT_SLOTS", "Worker", "WorkerOptions", "run"]


def run(dsn: str, options: WorkerOptions) -> int:
    """Runs a worker in this process until SIGTERM or SIGINT, or until its options end it; returns 0.

    Handlers must be registered before: import the modules that define them. Raises `SchemaMismatch`.
    """
    runner = asyncio.Runner(loop_factory=_loop_factory())
    try:
        runner.run(_work(dsn, options))
    finally:
        left = [task for task in asyncio.all_tasks(runner.get_loop()) if not task.done()]
        if left:  # a handler that ignores its cancellation: waiting for it, as close() does, could take for ever
            log.warning("ended without %d handlers that ignored their cancellation", len(left))
        else:
            runner.close()
    return 0


async def _work(dsn: str, options: WorkerOptions) -> None:
    worker = Worker(dsn, options)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, worker.stop)
    await worker.run()


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop where there is one: it takes a third off the cost of a job."""
    if sys.platform == "win32":
        return None
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop
