"""One running postgres, from start to stop, that never outlives the process that started it."""

import contextlib
import os
import pwd
import signal
import socket
import subprocess
import time

from pgqueue.embedded.account import run_as
from pgqueue.embedded.cluster import ensure, environment
from pgqueue.embedded.error import EmbeddedError, tail
from pgqueue.embedded.recipe import Recipe, open_private, prepare_sockets

STARTS_WITHIN = 120.0  # seconds; a recovery after a crash can take a while
STOPS_WITHIN = 30.0  # seconds for a fast shutdown, then it is cut short
LEFTOVERS_WITHIN = 10.0  # seconds for the processes of a killed server to notice and end
POLL = 0.01  # seconds

# A shell of 1 MB, blocked on a pipe whose other end we hold. When we are done with the server we write a
# line; when we are killed the pipe just ends, and the shell stops the server in our place.
WATCHDOG = 'read -r done || kill -INT "$0"'


class Postmaster:
    """The postgres of one recipe. Not for several threads."""

    def __init__(self, recipe: Recipe) -> None:
        self._recipe = recipe
        self._account = pwd.getpwnam(recipe.account) if recipe.account else None
        self._process: subprocess.Popen[bytes] | None = None
        self._watchdog: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the server and wait until it takes connections; make its data folder first if there is none.

        The caller holds the server's lock. Raises `EmbeddedError`, and nothing runs then.
        """
        _outlast_orphan(self._recipe)
        prepare_sockets(self._recipe, self._account)
        ensure(self._recipe, self._account)
        deadline = time.monotonic() + LEFTOVERS_WITHIN
        while True:
            try:
                self._start_once()
                return
            except EmbeddedError:
                if time.monotonic() > deadline or not _leftovers_in_the_way(self._recipe):
                    raise
            time.sleep(10 * POLL)

    def _start_once(self) -> None:
        with open_private(self._recipe.log) as log:
            self._process = subprocess.Popen(
                self._command(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._recipe.folder,
                env=environment(),
                **run_as(self._account),
            )
        self._watchdog = subprocess.Popen(["/bin/sh", "-c", WATCHDOG, str(self._process.pid)], stdin=subprocess.PIPE)
        self._await_ready(self._process)

    def exited(self) -> bool:
        """Whether the server has ended without being asked to."""
        return self._process is None or self._process.poll() is not None

    def stop(self) -> None:
        """Stop the server: open transactions roll back, what was committed is on disk. Again: nothing happens."""
        if self._process is not None:
            for sign in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
                if self._process.poll() is None:
                    self._process.send_signal(sign)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._process.wait(STOPS_WITHIN)
                    break
            self._process = None
        self._dismiss_watchdog()

    def _command(self) -> list[str]:
        recipe = self._recipe
        quoted = str(recipe.socket_folder).replace('"', '""')
        settings = {
            "listen_addresses": "127.0.0.1" if recipe.tcp else "",
            "unix_socket_directories": f'"{quoted}"',
            **recipe.settings,
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return [
            f"{recipe.binaries}/postgres",
            "-D",
            str(recipe.data),
            "-p",
            str(recipe.port),
            *options,
        ]

    def _await_ready(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + STARTS_WITHIN
        while time.monotonic() < deadline and process.poll() is None:
            pid, status = _pid_file(self._recipe)
            if pid == process.pid and status == "ready":
                return
            time.sleep(POLL)
        code = process.poll()
        self.stop()
        happened = f"is not ready after {STARTS_WITHIN:.0f} s" if code is None else f"ended with exit code {code}"
        raise EmbeddedError(
            f"postgres in {self._recipe.folder} {happened}; it is stopped and its data are as they were. "
            f"Its log {self._recipe.log} ends with:\n{tail(_read(self._recipe))}"
        )

    def _dismiss_watchdog(self) -> None:
        if self._watchdog is not None:
            with contextlib.suppress(BrokenPipeError):
                self._watchdog.communicate(b"done\n")
            self._watchdog = None


def _outlast_orphan(recipe: Recipe) -> None:
    """Wait until a server is gone that was left by a killed supervisor.

    Its watchdog is stopping it. Should that be dead too, we stop it: whatever answers on our socket is
    the server of this folder, so its process number can be trusted. A number without a socket can't be
    (it may belong to anybody by now): that one we only give time to finish.
    """
    pid, _ = _pid_file(recipe)
    if pid is None:
        return
    answers = _answers(recipe)
    if answers:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGINT)
    deadline = time.monotonic() + (STOPS_WITHIN if answers else 3.0)
    while time.monotonic() < deadline and _pid_file(recipe)[0] == pid and _alive(pid):
        time.sleep(POLL)


def _pid_file(recipe: Recipe) -> tuple[int | None, str]:
    """Process number and status (`starting`, `ready`, …) from `postmaster.pid`; None if there is no such file."""
    try:
        lines = (recipe.data / "postmaster.pid").read_text().splitlines()
        return int(lines[0]), lines[7].strip() if len(lines) > 7 else ""
    except (FileNotFoundError, IndexError, ValueError):  # missing, or half written
        return None, ""


def _answers(recipe: Recipe) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(recipe.socket))
        except OSError:
            return False
        return True


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _leftovers_in_the_way(recipe: Recipe) -> bool:
    """Whether the last start failed only because processes of a killed server had not ended yet."""
    said = _read(recipe)
    return b"is still in use" in said or b'"postmaster.pid" already exists' in said


def _read(recipe: Recipe) -> bytes:
    return recipe.log.read_bytes() if recipe.log.exists() else b""
