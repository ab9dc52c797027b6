"""Users of an embedded server as processes of their own, which can be killed, and events to wait for."""

import contextlib
import fcntl
import json
import os
import select
import signal
import subprocess
import sys
from pathlib import Path
from typing import BinaryIO

ROOT = Path(__file__).resolve().parents[2]
DEADLINE = 30.0  # seconds, for anything that is waited for here

# Says where the server is, then holds its lease until its input ends.
CODE = """
import json, os, sys
from pathlib import Path
from pgqueue import embedded

with embedded.{server} as dsn:
    {before}
    print(json.dumps(dsn), flush=True)
    sys.stdin.read()
"""


class User:
    """A process that uses a server.

    server:  the call that gives it one, such as `throwaway()`.
    before:  a statement for it to run once it has its lease.
    """

    def __init__(self, server: str, before: str = "pass") -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", CODE.format(server=server, before=before)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
        )

    @property
    def dsn(self) -> str:
        """Waits until the user has its lease. Ask once."""
        return json.loads(self.process.stdout.readline())

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(DEADLINE)

    def close(self) -> None:
        """Let it go its ordinary way."""
        with self.process:
            self.process.stdin.close()


def postmaster(folder: Path) -> int:
    """Process number of the server in `folder`."""
    return int((folder / "data" / "postmaster.pid").read_text().split("\n", 1)[0])


def parent(pid: int) -> int:
    """Linux only."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("PPid:")))


def children(pid: int) -> list[int]:
    """Linux only."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def wait_until_ended(pid: int) -> None:
    """Return once the process is gone. Raises `TimeoutError`."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        ended, _, _ = select.select([descriptor], [], [], DEADLINE)
    finally:
        os.close(descriptor)
    if not ended:
        raise TimeoutError(f"process {pid} still lives after {DEADLINE} s")


def wait_until_unsupervised(folder: Path) -> None:
    """Return once no supervisor holds the lock of `folder`: its server has stopped then."""
    with contextlib.suppress(FileNotFoundError), (folder / "lock").open("rb+") as lock:
        wait_until_unlocked(lock)


def wait_until_unlocked(lock: BinaryIO) -> None:
    """Return once the supervisor that holds this lock file is gone. Raises `TimeoutError`."""

    def too_long(*_: object) -> None:
        raise TimeoutError(f"the supervisor that holds {lock.name} still lives after {DEADLINE} s")

    before = signal.signal(signal.SIGALRM, too_long)
    signal.setitimer(signal.ITIMER_REAL, DEADLINE)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def stop_whatever_is_left(folder: Path) -> None:
    """For the end of a test, however it ended: ask the supervisor, if there is one, to stop."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError, ValueError):
        owner = parent(postmaster(folder))
        if owner > 1:
            os.kill(owner, signal.SIGTERM)
    wait_until_unsupervised(folder)
