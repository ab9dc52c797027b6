"""The worker: claims jobs, runs their handlers, reports what became of them. See `loop.py` for its parts."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from pgqueue.worker.logs import log
from pgqueue.worker.loop import Worker
from pgqueue.worker.options import DEFAULT_SLOTS, WorkerOptions

__all__ = ["DEFAULT_SLOTS", "Worker", "WorkerOptions", "run"]

_LOOP_THREADS: Final = "pgqueue-loop"


def run(dsn: str, options: WorkerOptions) -> int:
    """Runs a worker in this process until SIGTERM or SIGINT, or until its options end it; returns 0.

    Handlers must be registered before: import the modules that define them. Raises `SchemaMismatch`;
    `psycopg.OperationalError` when the server refuses the first connection for good.

    Should a thread that a handler left behind (`asyncio.to_thread`) still run then, the process exits here, with 0:
    Python itself would wait for that thread, for ever.
    """
    runner = asyncio.Runner(loop_factory=_loop_factory())
    threads = ThreadPoolExecutor(thread_name_prefix=_LOOP_THREADS)
    runner.get_loop().set_default_executor(threads)
    try:
        runner.run(_work(dsn, options))
    finally:
        threads.shutdown(wait=False, cancel_futures=True)
        if stuck := _stuck():
            log.warning("ended without %d threads of handlers that would not end", stuck)
        left = [task for task in asyncio.all_tasks(runner.get_loop()) if not task.done()]
        if left:
            log.warning("ended without %d handlers that ignored their cancellation", len(left))
        if not (stuck or left):  # waiting for them, as close() does, could take for ever
            runner.close()
    if stuck:
        logging.shutdown()
        sys.stdout.flush()
        os._exit(0)
    return 0


def _stuck() -> int:
    """Threads of the loop's own that are still busy a second after they were told to end."""
    deadline = time.monotonic() + 1
    threads = [thread for thread in threading.enumerate() if thread.name.startswith(_LOOP_THREADS)]
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return sum(thread.is_alive() for thread in threads)


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
