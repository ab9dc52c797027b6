"""A worker in a process of its own, for what only a process can show: signals, exit codes, death.

Run as a module it is that process: python -m tests.worker.process DSN OPTIONS, options of `WorkerOptions` as JSON.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
LEDGER = """create table ledger (
    job bigint, pid integer, event text, at timestamptz not null default clock_timestamp()
)"""


class Process:
    """A running worker."""

    def __init__(self, dsn: str, **options: Any) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.worker.process", dsn, json.dumps(options)],
            cwd=ROOT,
            env={**os.environ, "PGQUEUE_DSN": dsn},
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.pid = self._process.pid
        self.log = ""
        """What it wrote to stderr; complete once it has ended."""

    def signal(self, number: int) -> None:
        self._process.send_signal(number)

    def ended(self, within: float) -> int:
        """Its exit code, minus the signal that ended it. within: seconds."""
        _, self.log = self._process.communicate(timeout=within)
        return self._process.returncode

    def close(self) -> None:
        if self._process.stderr is None or self._process.stderr.closed:
            return
        self.signal(signal.SIGKILL)
        self.ended(10)


@contextlib.contextmanager
def process(dsn: str, **options: Any) -> Iterator[Process]:
    """A worker process that does not outlive the test. options: of `WorkerOptions`."""
    one = Process(dsn, **options)
    try:
        yield one
    finally:
        one.close()


def main(dsn: str, options: str) -> int:
    from pgqueue.worker import WorkerOptions, logs, run
    from tests.worker import handlers  # noqa: F401

    logs.setup("json")
    return run(dsn, WorkerOptions(**json.loads(options)))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
