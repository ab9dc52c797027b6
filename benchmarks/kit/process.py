"""Workers as the processes that a user would start, stopped when the block ends."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent
PATIENCE = 900.0


class Process:
    """A running command. Its output goes to a file, which is shown if it fails."""

    def __init__(self, command: Sequence[str], env: Mapping[str, str] | None = None) -> None:
        self.output = tempfile.TemporaryFile()  # noqa: SIM115 (closed by `process`)
        self.command = " ".join(command)
        self.popen = subprocess.Popen(
            command, stdout=self.output, stderr=self.output, cwd=HERE, env={**os.environ, **(env or {})}
        )
        self.pid = self.popen.pid

    def check(self) -> None:
        """Raises if it has failed."""
        if self.popen.poll():
            raise RuntimeError(f"{self.command} ended with {self.popen.returncode}:\n{self.said()[-3000:]}")

    def said(self) -> str:
        """All its output until now."""
        self.output.seek(0)
        return self.output.read().decode(errors="replace")

    def wait(self) -> None:
        """Until it ends by itself."""
        self.popen.wait(PATIENCE)
        self.check()

    def stop(self) -> None:
        """As a supervisor would: SIGTERM, and patience."""
        if self.popen.poll() is None:
            self.popen.send_signal(signal.SIGTERM)
            try:
                self.popen.wait(20)
            except subprocess.TimeoutExpired:
                self.popen.kill()
                self.popen.wait()


@contextlib.contextmanager
def process(command: Sequence[str], env: Mapping[str, str] | None = None) -> Iterator[Process]:
    """A command that runs beside the block."""
    running = Process(command, env)
    try:
        yield running
    finally:
        running.stop()
        running.output.close()


def worker(dsn: str, *options: str) -> list[str]:
    """The command of a pgqueue worker with default settings."""
    return [sys.executable, "-m", "pgqueue", "worker", "--app", "kit.jobs", "--dsn", dsn, *options]


def until(condition: Callable[[], object], running: Process | None = None, pause: float = 0.002) -> None:
    """Polls a condition while a process works for it. pause: seconds."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if running is not None:
            running.check()
        if time.monotonic() > deadline:
            raise TimeoutError(f"nothing after {PATIENCE:.0f} s; {running.said()[-3000:] if running else ''}")
        time.sleep(pause)
