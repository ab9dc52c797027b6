"""A child process of a worker: runs handlers with `executor="process"`, one at a time, in its main thread.

Started by processes.py, over whose socket it takes its orders. It imports the handler's module and finds the task by
its kind. It ends when the worker does, whatever it is at.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import importlib
import json
import logging
import os
import pickle
import signal
import socket
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from queue import SimpleQueue
from types import CoroutineType
from typing import Any, Final

from pydantic_core import to_json

from pgqueue.calls import received
from pgqueue.context import JobContext
from pgqueue.control import Control
from pgqueue.errors import ConfigurationError
from pgqueue.lifespans import lifespans
from pgqueue.middlewares import middlewares
from pgqueue.resources import Resources
from pgqueue.task import find
from pgqueue.teller import JobLogger
from pgqueue.worker.description import Elsewhere, describe, fingerprint, trace
from pgqueue.worker.hiding import hiding
from pgqueue.worker.lifespans import opened, starting
from pgqueue.worker.logs import job_log
from pgqueue.worker.memory import capped
from pgqueue.worker.surroundings import call_within
from pgqueue.worker.wire import Begun, InvalidResult, Kept, Line, Order, Progress, Raised, Returned, Start, Wire

MAX_RESULT: Final = 16 * 1_048_576
"""Characters of a result that are sent at all; the worker's own limit is lower and says so better."""
LAST_WORDS: Final = 5.0
"""Seconds that lifespans may take to end once the worker has gone."""


class Child:
    """The process, as the worker sees it."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._orders: SimpleQueue[Any] = SimpleQueue()
        self._busy = False
        self._worker = ""
        self._middlewares: list[Any] = []
        self._tells = _Tells(wire)
        self._values: dict[str, Any] = {}

    def work(self) -> None:
        """Runs one order after another until there will be no more."""
        threading.Thread(target=self._listen, name="pgqueue-orders", daemon=True).start()
        start: Start | None = self._orders.get()
        if start is None:
            return
        with contextlib.ExitStack() as stack:
            broken: BaseException | None = None
            try:
                self._prepare(start, stack)
            except BaseException as error:  # told as the outcome of the first job
                broken = error
            while (order := self._orders.get()) is not None:
                answer = self._answer(order) if broken is None else _raised(broken, order.module, last=True)
                self._busy = False
                self._wire.send(answer)

    def _listen(self) -> None:
        """Takes orders. When the worker has gone, or wants no more, a child that runs a job is not waited for."""
        with contextlib.suppress(EOFError, OSError):
            while True:
                message = self._wire.receive()
                self._busy = self._busy or isinstance(message, Order)
                self._orders.put(message)
        if not self._busy:
            self._orders.put(None)
            time.sleep(LAST_WORDS)
        end_group()

    def _prepare(self, start: Start, stack: contextlib.ExitStack) -> None:
        self._worker = start.worker
        _forward_log(self._wire, start.levels)
        for module in start.modules:
            importlib.import_module(module)
        self._middlewares = [_known(middlewares, where, "middleware").open for where in start.middlewares]
        resources = Resources(self._values)
        for name in start.lifespans:
            lifespan = _known(lifespans, name, "lifespan")
            with starting(lifespan):
                self._values[name] = stack.enter_context(opened(lifespan, resources))

    def _answer(self, order: Order) -> Returned | Raised:
        """Runs a job. Whatever its handler raises ends it, never the process."""
        try:
            importlib.import_module(order.module)
            task = find(order.job.kind)
            arguments = task.arguments(order.job.args, order.job.meta)
            context = self._context(order)
            args = (context,) if task.takes_context else ()
            self._wire.send(Begun())
            with capped(order.memory):
                result = call_within(self._middlewares, context, lambda: task.function(*args, **arguments))
            return Returned(_text(result))
        except BaseException as error:
            # After a MemoryError nobody knows what is left half done, and what was taken is not all given back.
            return _raised(error, order.module, last=isinstance(error, MemoryError))

    def _context(self, order: Order) -> JobContext:
        job = order.job
        return JobContext(
            id=job.id,
            kind=job.kind,
            queue=job.queue,
            attempt=job.attempt,
            max_attempts=job.max_attempts,
            run_at=received(job.run_at),
            created_at=received(job.created_at),
            deadline=None if order.limit is None else datetime.now(UTC) + timedelta(seconds=order.limit),
            worker=self._worker,
            log=JobLogger(
                job_log,
                {"id": job.id, "kind": job.kind, "attempt": job.attempt},
                lambda: self._tells,
                functools.partial(hiding, job),
            ),
            meta=json.loads(job.meta) if job.meta else {},
            resources=Resources(self._values),
        )


def _text(result: Any) -> str | None:
    """A result as JSON text; None for nothing."""
    if result is None:
        return None
    if isinstance(result, Control) or (isinstance(result, type) and issubclass(result, Control)):
        raise result  # returned or raised, it says the same
    if isinstance(result, CoroutineType):
        result.close()
        raise ConfigurationError("the handler returned a coroutine; executor='process' runs sync functions only")
    try:
        text = to_json(result, inf_nan_mode="constants").decode()
    except Exception as error:  # a type's own serializer may raise anything
        raise InvalidResult(f"a {type(result).__name__} cannot be stored as JSON: {error}") from error
    if len(text) > MAX_RESULT:
        raise InvalidResult(f"it takes {len(text):,} characters: store the data elsewhere and return its key")
    return text


def _raised(error: BaseException, module: str, *, last: bool) -> Raised:
    where = Elsewhere(trace(error, module), fingerprint(error, module))
    if isinstance(error, Control) and error.reason is None and (cause := error.__cause__ or error.__context__):
        error.reason = describe(cause)  # which would not come over
        error.args = (error.reason,)
    try:
        pickled = pickle.dumps(error)
        pickle.loads(pickled)  # some go in and do not come out
    except BaseException:
        return Raised(None, describe(error), where, last)
    return Raised(pickled, describe(error), where, last)


def _known(registry: dict[str, Any], name: str, what: str) -> Any:
    if name not in registry:
        raise ConfigurationError(
            f"{what} {name} is not there once its module was imported in a child process; define it at the top of one"
        )
    return registry[name]


class _Tells:
    """Passes on what a job says of itself; the worker keeps it."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def progress(self, fraction: float, message: str | None) -> None:
        with contextlib.suppress(OSError):
            self._wire.send(Progress(fraction, message))

    def line(self, level: str, text: str) -> bool:
        """True always: whether there were too many is counted there."""
        with contextlib.suppress(OSError):
            self._wire.send(Kept(level, text))
        return True


class _Forward(logging.Handler):
    """Sends the child's log to the worker, whose log it becomes part of."""

    def __init__(self, wire: Wire) -> None:
        super().__init__()
        self._wire = wire

    def emit(self, record: logging.LogRecord) -> None:
        """Sends a record with its message as text: arguments may be anything."""
        message = record.getMessage()
        if record.exc_info:
            message += "\n" + (self.formatter or logging.Formatter()).formatException(record.exc_info)
        plain = {name: value for name, value in vars(record).items() if isinstance(value, str | int | float)}
        fields = {name: str(value) for name, value in getattr(record, "fields", {}).items()}
        with contextlib.suppress(OSError):
            self._wire.send(Line({**plain, "msg": message, "args": None, "fields": fields}))


def _forward_log(wire: Wire, levels: dict[str, int]) -> None:
    logging.basicConfig(handlers=[_Forward(wire)], force=True)
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


def end_group() -> None:
    """Ends this process and whatever it started."""
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


def _die_with(parent: int) -> None:
    """Asks the kernel to end this process with the worker's, should it be too busy to notice."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    if os.getppid() != parent:
        os._exit(1)


def main() -> None:
    """The child process."""
    descriptor, parent = int(sys.argv[1]), int(sys.argv[2])
    _die_with(parent)
    # Whoever stops the service tells all its processes; the worker decides what ends when. Handlers, not SIG_IGN, which
    # programs started from here would inherit.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    Child(Wire(socket.socket(fileno=descriptor))).work()
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # a thread that a handler left behind is not waited for


if __name__ == "__main__":
    main()
