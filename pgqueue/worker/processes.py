"""Child processes for handlers with `executor="process"`: started when needed, reused, killed when a job must stop.

Each runs one job at a time and has a socket of its own, so that to kill one concerns no other. Not a pool of a
library: those share one pipe among all, start as many as they may at once, and look for what to kill ten times a
second.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import pickle
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any, Final

from pydantic_core import from_json

from pgqueue.calls import ClaimedJob
from pgqueue.errors import ErrorInProcess, ProcessDied
from pgqueue.lifespans import lifespans
from pgqueue.middlewares import middlewares
from pgqueue.task import Task
from pgqueue.teller import JobLogger
from pgqueue.worker.wire import HEADER, Begun, Kept, Line, Order, Progress, Raised, Returned, Start, pack

START_PATIENCE: Final = 60.0
"""Seconds a child may take to start, import and begin a job. They do not count as run time of the job."""
IDLE: Final = 300.0
"""Seconds after which a child that had nothing to do is ended."""


class Process:
    """One child process, from this side."""

    def __init__(self, start: Start) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            # Not -m: the child must find the same modules, and a PYTHONPATH would reach whatever it starts.
            code = f"import sys; sys.path[:] = {sys.path!r}; from pgqueue.worker.child import main; main()"
            command = [sys.executable, "-c", code, str(theirs.fileno()), str(os.getpid())]
            self._popen = subprocess.Popen(
                command,
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                start_new_session=True,  # so that what it started is killed with it, and no Ctrl-C reaches it
            )
        self._socket = ours
        self._start = start
        self.jobs = 0
        self.idle_since = time.monotonic()
        self.usable = True
        self._answer: asyncio.Future[Returned | Raised] | None = None
        self._begun: asyncio.Future[None] | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._reading: asyncio.Task[None] | None = None
        self._log: JobLogger | None = None

    async def run(self, order: Order, on_begin: Callable[[], None], log: JobLogger) -> Returned | Raised:
        """Runs a job; cancelling kills the process. on_begin: called when its handler begins. log: keeps what it says.

        Raises `ProcessDied`.
        """
        loop = asyncio.get_running_loop()
        self.jobs += 1
        self._log = log
        self._begun, self._answer = loop.create_future(), loop.create_future()
        try:
            if self._writer is None:
                reader, self._writer = await asyncio.open_connection(sock=self._socket)
                self._reading = loop.create_task(self._read(reader))
                self._writer.write(pack(self._start))
            self._writer.write(pack(order))
            waiting: list[asyncio.Future[Any]] = [self._begun, self._answer]
            await asyncio.wait(waiting, timeout=START_PATIENCE, return_when=asyncio.FIRST_COMPLETED)
            if not self._begun.done() and not self._answer.done():
                raise ProcessDied(f"the process did not begin the job within {START_PATIENCE:g} s and was killed")
            if self._begun.done() and not self._answer.done():
                on_begin()
            answer = await self._answer
        except BaseException:
            self.kill()
            raise
        self.usable = self.usable and not (isinstance(answer, Raised) and answer.last)
        self.idle_since = time.monotonic()
        return answer

    def kill(self) -> None:
        """Ends it and what it started, now."""
        self.usable = False
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._popen.pid, signal.SIGKILL)
        if self._reading is None:
            self._socket.close()

    def retire(self) -> None:
        """Lets it end its lifespans and itself. It runs no job."""
        self.usable = False
        if self._writer is None:
            self.kill()
        else:
            self._writer.write_eof()

    @property
    def gone(self) -> bool:
        """Whether it has ended and was seen off."""
        return self._popen.poll() is not None if self._reading is None else self._reading.done()

    async def ended(self) -> None:
        """Waits until it has ended and nothing of it is left."""
        if self._reading is not None:
            await asyncio.wait([self._reading])
        else:
            await asyncio.to_thread(self._popen.wait)

    async def _read(self, reader: asyncio.StreamReader) -> None:
        try:
            while True:
                (length,) = HEADER.unpack(await reader.readexactly(HEADER.size))
                self._heard(pickle.loads(await reader.readexactly(length)))
        except (asyncio.IncompleteReadError, OSError):
            pass
        finally:
            self.usable = False
            if self._writer is not None:
                self._writer.close()
        code = await asyncio.to_thread(self._popen.wait)
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ProcessDied(_fate(code)))
            self._answer.exception()  # nobody may be waiting any more

    def _heard(self, message: Any) -> None:
        match message:
            case Line(fields):
                record = logging.makeLogRecord(fields)
                logging.getLogger(record.name).handle(record)
            case Progress() | Kept():
                self._told(message)
            case Begun():
                if self._begun is not None and not self._begun.done():
                    self._begun.set_result(None)
            case Returned() | Raised():
                if self._answer is not None and not self._answer.done():
                    self._answer.set_result(message)

    def _told(self, message: Progress | Kept) -> None:
        teller = None if self._log is None else self._log.teller
        if teller is None or self._answer is None or self._answer.done():
            return
        match message:
            case Progress(fraction, said):
                teller.progress(fraction, said)
            case Kept(level, text):
                teller.line(level, text)


class Processes:
    """The child processes of one worker: as many as there are jobs in them at a time, kept for the next."""

    def __init__(self, worker: str) -> None:
        self._worker = worker
        self._idle: list[Process] = []
        self._all: set[Process] = set()

    async def call(
        self,
        task: Task[..., ..., Any],
        job: ClaimedJob,
        limit: float | None,
        on_begin: Callable[[], None],
        log: JobLogger,
    ) -> Any:
        """Calls a task's function in a process; the answer is what it returned, by way of JSON.

        limit: for the handler's deadline. on_begin: called when it begins. log: keeps what it says. Cancelling kills
        the process.

        Raises what the handler raised, with its traceback noted; `ProcessDied`.
        """
        process = self._take()
        order = Order(job, task.function.__module__, limit, task.options.memory)
        try:
            answer = await process.run(order, on_begin, log)
        finally:
            self._put(process, task.options.recycle)
        match answer:
            case Returned(result):
                return None if result is None else from_json(result)
            case Raised():
                raise _error(answer)

    def tick(self) -> None:
        """Ends children that have had nothing to do for long. Call it now and then."""
        now = time.monotonic()
        for process in [process for process in self._idle if now - process.idle_since > IDLE]:
            self._idle.remove(process)
            process.retire()

    async def close(self, patience: float) -> None:
        """Ends all of them: those that run a job are killed, the others have `patience` seconds."""
        for process in self._idle:
            process.retire()
        for process in self._all - set(self._idle):
            process.kill()
        self._idle.clear()
        ending = [asyncio.ensure_future(process.ended()) for process in self._all]
        if ending:
            await asyncio.wait(ending, timeout=patience)
        for process in self._all:
            process.kill()
        if ending:
            await asyncio.wait(ending, timeout=1)

    def _take(self) -> Process:
        while self._idle:
            process = self._idle.pop()
            if process.usable:
                return process
        process = Process(self._start())
        self._all.add(process)
        return process

    def _put(self, process: Process, recycle: int | None) -> None:
        if process.usable and (recycle is None or process.jobs < recycle):
            self._idle.append(process)
        elif process.usable:
            process.retire()
        self._all = {each for each in self._all if not each.gone}

    def _start(self) -> Start:
        within = [each for each in middlewares.values() if not each.is_async]
        made = [each for each in lifespans.values() if each.process]
        levels = {
            name: logger.level
            for name, logger in logging.root.manager.loggerDict.items()
            if isinstance(logger, logging.Logger) and logger.level
        }
        return Start(
            [*(each.function.__module__ for each in within), *(each.function.__module__ for each in made)],
            [each.name for each in made],
            [each.where for each in within],
            {"": logging.root.level, **levels},
            self._worker,
        )


def _error(raised: Raised) -> BaseException:
    found: Any = None
    if raised.pickled is not None:
        with contextlib.suppress(Exception):
            found = pickle.loads(raised.pickled)
    error: BaseException = found if isinstance(found, BaseException) else ErrorInProcess(raised.error)
    raised.where.note(error)
    return error


def _fate(code: int) -> str:
    if code >= 0:
        return f"the process that ran it ended with exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = "unknown"
    hint = "; the kernel does that to a process that takes too much memory" if -code == signal.SIGKILL else ""
    return f"the process that ran it was killed by signal {-code} ({name}){hint}"
