"""Waiting for a moment, for a word from the server, or for somebody to ring: whichever comes first."""

from __future__ import annotations

import contextlib
import selectors
import socket
import time
from typing import Any

import psycopg


class Alarm:
    """For one thread that owns a connection; any thread may ring."""

    def __init__(self) -> None:
        self._bell, self._button = socket.socketpair()
        self._bell.setblocking(False)
        self._button.setblocking(False)

    def ring(self) -> None:
        """Ends the wait, or the next one if nobody waits."""
        with contextlib.suppress(OSError):  # full: it rings already; closed: nobody waits any more
            self._button.send(b"!")

    def wait(self, connection: psycopg.Connection[Any], until: float) -> bool:
        """Waits until then, by `time.monotonic`; whether the server notified. Raises when the connection is lost."""
        with selectors.DefaultSelector() as selector:
            selector.register(connection.fileno(), selectors.EVENT_READ)
            selector.register(self._bell, selectors.EVENT_READ)
            selector.select(max(0.0, until - time.monotonic()))
        with contextlib.suppress(BlockingIOError):
            self._bell.recv(4096)
        connection.pgconn.consume_input()
        notified = False
        while connection.pgconn.notifies() is not None:
            notified = True
        return notified

    def close(self) -> None:
        """Lets go of both ends."""
        self._bell.close()
        self._button.close()
