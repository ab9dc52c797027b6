"""What a worker and its child processes say to each other, over a socket pair.

A message is a pickled tuple behind its length. Both ends are processes of one worker that run the same code; nothing
that comes from the database is ever unpickled, arguments and results travel as JSON text inside.
"""

from __future__ import annotations

import pickle
import socket
import struct
import threading
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from pgqueue.calls import ClaimedJob
from pgqueue.control import Discard
from pgqueue.worker.description import Elsewhere


class InvalidResult(Discard):
    """What a handler returned cannot be stored; to run it again would only repeat its effects."""


HEADER: Final = struct.Struct("!Q")


class Start(NamedTuple):
    """To a new child. modules: to import first. lifespans, middlewares: their keys, in order. levels: of loggers."""

    modules: list[str]
    lifespans: list[str]
    middlewares: list[str]
    levels: dict[str, int]
    worker: str


class Order(NamedTuple):
    """Run a job. module: of its handler. limit: seconds it may run. memory: bytes it may take; None: no limit."""

    job: ClaimedJob
    module: str
    limit: float | None
    memory: int | None


class Begun(NamedTuple):
    """From the child: imports are done, the handler begins."""


class Returned(NamedTuple):
    """The handler's result as JSON text; None for nothing."""

    result: str | None


class Raised(NamedTuple):
    """The handler's error, pickled, or None where it cannot be; type and message, and where. last: the child ends."""

    pickled: bytes | None
    error: str
    where: Elsewhere
    last: bool


class Line(NamedTuple):
    """A record of the child's log."""

    fields: dict[str, Any]


class Progress(NamedTuple):
    """`ctx.progress` in the child."""

    fraction: float
    message: str | None


class Kept(NamedTuple):
    """A line that `ctx.log(…)` in the child keeps with the job."""

    level: str
    text: str


@dataclass(slots=True)
class Wire:
    """The child's end. Any thread may send."""

    socket: socket.socket
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def send(self, message: tuple[Any, ...]) -> None:
        """Sends a message. Raises `OSError` when the worker has gone."""
        packed = pack(message)
        with self._lock:
            self.socket.sendall(packed)

    def receive(self) -> Any:
        """Waits for the next message. Raises `EOFError` when there will be none."""
        (length,) = HEADER.unpack(self._exactly(HEADER.size))
        return pickle.loads(self._exactly(length))

    def _exactly(self, count: int) -> bytes:
        parts = bytearray()
        while len(parts) < count:
            part = self.socket.recv(min(count - len(parts), 1_048_576))
            if not part:
                raise EOFError
            parts += part
        return bytes(parts)


def pack(message: tuple[Any, ...]) -> bytes:
    """A message as bytes, with its length."""
    body = pickle.dumps(message)
    return HEADER.pack(len(body)) + body
