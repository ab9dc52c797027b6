"""The demo's worker processes: real ones, each with its own log."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from pgqueue.cli.demo import example
from pgqueue.errors import QueueError

STOP_SECONDS = 10
MAX_SECONDS = 180
"""A worker ends by itself then, should the demo be killed and not stop it."""


class WorkerEnded(QueueError):
    """A worker of the demo ended by itself, which none should."""


class WorkerProcess:
    """`pgqueue worker` on the example's queues."""

    def __init__(self, name: str, dsn: str, receipts: Path, log: Path) -> None:
        self.name = name
        self.log = log
        command = [sys.executable, "-m", "pgqueue", "worker", "--app", "billing.jobs", "--name", name]
        command += ["--max-time", str(MAX_SECONDS)]
        command += [f"--queue={queue}:{slots}" for queue, slots in zip(example.QUEUES, (12, 6), strict=True)]
        # The DSN goes by the environment: everybody may read a command line, and there may be a password in it.
        environment = {"PGQUEUE_DSN": dsn, "BILLING_DSN": dsn, "BILLING_RECEIPTS": str(receipts)}
        with log.open("wb") as file:
            self._process = subprocess.Popen(
                command,
                cwd=example.folder(),
                env=os.environ | environment,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                start_new_session=True,  # a Ctrl-C is for us; we tell the workers
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def check(self) -> None:
        """Raises `WorkerEnded`, with the end of its log, if it does not run any more."""
        if self._process.poll() is not None:
            tail = "\n".join(self.log.read_text(errors="replace").splitlines()[-10:])
            raise WorkerEnded(f"worker {self.name} ended with {self._process.returncode}; its log {self.log}:\n{tail}")

    def freeze(self) -> None:
        """SIGSTOP: it does nothing until it is thawed or killed."""
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """SIGKILL: it cannot say goodbye."""
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def stop(self) -> int:
        """SIGTERM, and SIGKILL if that does not help; its exit code."""
        self._process.terminate()
        try:
            return self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            return self._process.returncode
