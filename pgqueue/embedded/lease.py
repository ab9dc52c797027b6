"""A user's side of an embedded server: come in, starting the supervisor if there is none, and hold a lease.

Two things make any number of users safe at any moment. The lock file is held by the living supervisor alone,
so whoever gets it may start the next one. And the control socket is bound and listening before that
supervisor is started, so others queue at it instead of asking again and again.
"""

import fcntl
import json
import os
import socket
import subprocess
import sys
import time
import weakref

import pgqueue
from pgqueue.embedded.error import EmbeddedError, tail
from pgqueue.embedded.recipe import Recipe, open_private

PATIENCE = 180.0  # seconds to get a lease: longer than a server may take to stop and another to start
POLL = 0.02  # seconds
ATTEMPTS = 3  # supervisors of ours that may die without a word
# The package's front door loads pydantic and SQLAlchemy, which the supervisor has no use for: without them it
# starts in 0.1 s instead of 0.7 s and needs a third of the memory. So it enters by a door of its own.
SUPERVISOR = """
import sys, types
package = sys.modules["pgqueue"] = types.ModuleType("pgqueue")
package.__path__ = [sys.argv.pop(1)]
from pgqueue.embedded.supervisor import main
main()
"""

_held: "weakref.WeakSet[socket.socket]" = weakref.WeakSet()


class Lease:
    """The right to use the server at `dsn` until `close`, or until this process ends."""

    def __init__(self, dsn: str, connection: socket.socket) -> None:
        self.dsn = dsn
        self._connection = connection
        _held.add(connection)

    def close(self, *, wait: bool = False) -> None:
        """Give it back. wait: return only when the server has stopped, or goes on for somebody else."""
        if wait and self._connection.fileno() >= 0:
            self._connection.settimeout(PATIENCE)
            self._connection.shutdown(socket.SHUT_WR)
            self._connection.recv(1)
        self._connection.close()


def take(recipe: Recipe) -> Lease:
    """Wait for a lease on the server of `recipe`; whoever comes first starts it, with its settings.

    Raises `EmbeddedError` if the server can't be started, or not within 180 s.
    """
    deadline = time.monotonic() + PATIENCE
    launched = 0
    while time.monotonic() < deadline and launched <= ATTEMPTS:
        connection = _knock(recipe)
        if connection is None:
            if _launch(recipe):
                launched += 1
            else:
                time.sleep(POLL)  # somebody has the lock: a supervisor about to listen, or about to end
            continue
        answer = _listen(connection, deadline)
        if "dsn" in answer:
            return Lease(answer["dsn"], connection)
        connection.close()
        if "error" in answer:
            raise EmbeddedError(answer["error"])
    log = recipe.supervisor_log.read_bytes() if recipe.supervisor_log.exists() else b""
    raise EmbeddedError(
        f"no server came up in {recipe.folder}, {launched} attempts; the end of {recipe.supervisor_log}:\n{tail(log)}"
    )


def _knock(recipe: Recipe) -> socket.socket | None:
    """A connection to the supervisor, None if nobody listens."""
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.connect(str(recipe.control))
    except (FileNotFoundError, ConnectionRefusedError, ConnectionResetError):
        connection.close()
        return None
    except OSError as error:
        connection.close()
        raise EmbeddedError(f"can't use {recipe.control}: {error.strerror}; is it another user's?") from error
    return connection


def _listen(connection: socket.socket, deadline: float) -> dict[str, str]:
    """The supervisor's answer; empty if it ended before it gave one."""
    connection.settimeout(max(0.1, deadline - time.monotonic()))
    line = b""
    try:
        while not line.endswith(b"\n"):
            part = connection.recv(65536)
            if not part:
                return {}
            line += part
    except (ConnectionError, TimeoutError):
        return {}
    answer: dict[str, str] = json.loads(line)
    return answer


def _launch(recipe: Recipe) -> bool:
    """Start a supervisor if we get the lock. False: there is one, or there was a moment ago."""
    lock = os.open(recipe.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        recipe.control.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(recipe.control))
            recipe.control.chmod(0o600)  # before anybody can connect
            listener.listen(128)
            _spawn(recipe, listener.fileno(), lock)
        return True
    finally:
        os.close(lock)


def _spawn(recipe: Recipe, listener: int, lock: int) -> None:
    """Start the supervisor; returns once it has detached itself. It inherits both descriptors."""
    arguments = [pgqueue.__path__[0], recipe.to_json(), str(listener), str(lock)]
    with open_private(recipe.supervisor_log) as log:
        done = subprocess.run(
            [sys.executable, "-I", "-c", SUPERVISOR, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=recipe.folder,
            pass_fds=(listener, lock),
            start_new_session=True,
            check=False,
        )
    if done.returncode != 0:
        raise EmbeddedError(
            f"the supervisor of {recipe.folder} ended with exit code {done.returncode}:\n"
            f"{tail(recipe.supervisor_log.read_bytes())}"
        )


def _forget_leases() -> None:
    """A forked child is a user of its own: our leases must end with us, not with our last child."""
    for connection in list(_held):
        connection.close()


os.register_at_fork(after_in_child=_forget_leases)
