"""A worker in a process of its own, for what only a process can show: signals, exit codes, death.

Run as a module it is that process: python -m tests.worker.process DSN OPTIONS, options of `WorkerOptions` as JSON,
and `handlers`, the module that has them.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg

from pgqueue import JobContext

ROOT = Path(__file__).parents[2]
ENDS_WITHIN_SECONDS = 45
"""Far more than it takes, even on a machine that is busy with other things."""
LEDGER = """create table ledger (
    job bigint, pid integer, event text, at timestamptz not null default clock_timestamp()
)"""


def note(context: JobContext, event: str) -> None:
    """For handlers: a row in the ledger."""
    with psycopg.connect(os.environ["PGQUEUE_DSN"], autocommit=True) as db:
        db.execute("insert into ledger (job, pid, event) values (%s, %s, %s)", [context.id, os.getpid(), event])


class Process:
    """A running worker."""

    def __init__(self, dsn: str, **options: Any) -> None:
        # Appending, as reading moves the position that both share.
        self._stderr = tempfile.TemporaryFile("a+")  # noqa: SIM115
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.worker.process", dsn, json.dumps(options)],
            cwd=ROOT,
            env={**os.environ, "PGQUEUE_DSN": dsn},
            stdin=subprocess.DEVNULL,
            stderr=self._stderr,
        )
        self.pid = self._process.pid

    @property
    def log(self) -> str:
        """What it wrote to stderr so far."""
        self._stderr.seek(0)
        return self._stderr.read()

    def signal(self, number: int) -> None:
        self._process.send_signal(number)

    def ended(self, within: float = ENDS_WITHIN_SECONDS) -> int:
        """Its exit code, minus the signal that ended it. within: seconds."""
        return self._process.wait(within)

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        self._stderr.close()


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

    given = json.loads(options)
    importlib.import_module(given.pop("handlers", "tests.worker.handlers"))
    logs.setup("json")
    return run(dsn, WorkerOptions(**given))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
