"""The process that owns an embedded server: it counts leases and stops the server after the last one.

Started by the first user (`lease`), in a session of its own so that no Ctrl-C reaches it, with three arguments:
the recipe as JSON, and the numbers of two inherited file descriptors, the control socket, which already listens,
and the locked lock file. A lease is nothing but an open connection to that socket: the kernel closes it when its
holder ends, however it ends. Each lease is answered with one line of JSON: `{"dsn": …}` once the server is ready,
or `{"error": …}`.
"""

import contextlib
import json
import os
import selectors
import shutil
import signal
import socket
import sys
import time

from pgqueue.embedded.error import EmbeddedError
from pgqueue.embedded.postmaster import Postmaster
from pgqueue.embedded.recipe import Recipe

GRACE = 0.5  # seconds between the last lease and the stop: a script of three commands keeps its server
STABLE = 10.0  # seconds between two crashes; if they follow each other faster, another start won't help


class Supervisor:
    """Leases in, one server out."""

    def __init__(self, recipe: Recipe, listener: socket.socket) -> None:
        self._recipe = recipe
        self._listener = listener
        self._postmaster = Postmaster(recipe)
        self._leases: set[socket.socket] = set()
        self._departed: list[socket.socket] = []  # kept open until the server has stopped: so one can wait for that
        self._idle_since = 0.0  # monotonic seconds
        self._asked_to_stop = False
        self._selector = selectors.DefaultSelector()

    def run(self) -> None:
        """Start the server, keep it for as long as somebody holds a lease, stop it."""
        self._catch_signals()
        try:
            self._postmaster.start()
            self._serve()
        except EmbeddedError as error:
            self._refuse(str(error))
        finally:
            self._close()

    def _serve(self) -> None:
        self._listener.setblocking(False)
        self._selector.register(self._listener, selectors.EVENT_READ, self._admit)
        self._idle_since = time.monotonic()
        crashed = float("-inf")
        while not self._finished():
            for key, _ in self._selector.select(self._patience()):
                key.data(key.fileobj)
            if self._postmaster.exited():
                if time.monotonic() - crashed < STABLE:
                    return
                crashed = time.monotonic()
                self._postmaster.stop()
                self._postmaster.start()

    def _finished(self) -> bool:
        return self._asked_to_stop or self._patience() == 0

    def _patience(self) -> float | None:
        """Seconds until the server is given up, None while somebody uses it."""
        if self._leases:
            return None
        grace = 0 if self._recipe.throwaway and self._departed else GRACE
        return max(0.0, self._idle_since + grace - time.monotonic())

    def _admit(self, listener: socket.socket) -> None:
        try:
            lease, _ = listener.accept()
        except OSError:  # gone again before we looked
            return
        lease.setblocking(False)
        with contextlib.suppress(OSError):
            lease.send(json.dumps({"dsn": self._recipe.dsn}).encode() + b"\n")
        self._leases.add(lease)
        self._selector.register(lease, selectors.EVENT_READ, self._hear)
        for departed in self._departed:
            departed.close()
        self._departed.clear()

    def _hear(self, lease: socket.socket) -> None:
        """A lease has something to say: only ever that it ends."""
        with contextlib.suppress(BlockingIOError):
            if self._said(lease):
                return
            self._selector.unregister(lease)
            self._leases.remove(lease)
            if self._leases:
                lease.close()
            else:
                self._departed.append(lease)
                self._idle_since = time.monotonic()

    @staticmethod
    def _said(lease: socket.socket) -> bytes:
        try:
            return lease.recv(1024)
        except ConnectionError:
            return b""

    def _refuse(self, reason: str) -> None:
        """Tell everybody who is waiting why there is no server. Who comes later starts a new supervisor."""
        self._recipe.control.unlink(missing_ok=True)
        self._listener.setblocking(False)
        with contextlib.suppress(OSError):  # until nobody is waiting any more
            while True:
                waiting, _ = self._listener.accept()
                with contextlib.suppress(OSError):
                    waiting.send(json.dumps({"error": reason}).encode() + b"\n")
                self._departed.append(waiting)

    def _close(self) -> None:
        # Off the map first: who knocks from now on is turned away and waits for the lock.
        self._recipe.control.unlink(missing_ok=True)
        self._listener.close()
        self._postmaster.stop()
        if self._recipe.throwaway:
            shutil.rmtree(self._recipe.folder, ignore_errors=True)
            if self._recipe.sockets != self._recipe.folder:
                shutil.rmtree(self._recipe.sockets, ignore_errors=True)

    def _catch_signals(self) -> None:
        """Have every signal end the wait for events; SIGCHLD only wakes, SIGTERM and SIGINT stop the server."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        theirs.setblocking(False)
        signal.set_wakeup_fd(theirs.fileno())
        self._selector.register(ours, selectors.EVENT_READ, lambda _: self._said(ours))
        self._wakeup = theirs  # kept open
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for sign in (signal.SIGTERM, signal.SIGINT):
            signal.signal(sign, self._stop)

    def _stop(self, *_: object) -> None:
        self._asked_to_stop = True


def main() -> None:
    """Detach from the process that started us, then supervise."""
    recipe, listener, lock = (
        Recipe.from_json(sys.argv[1]),
        int(sys.argv[2]),
        int(sys.argv[3]),
    )
    if os.fork():
        os._exit(0)  # so that nobody has to wait for us as their child
    for descriptor in (listener, lock):
        os.set_inheritable(descriptor, False)  # the lock is free once we are gone, not once postgres is
    Supervisor(recipe, socket.socket(fileno=listener)).run()
