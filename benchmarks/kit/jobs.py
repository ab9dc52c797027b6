"""The handlers that the workers of all benchmarks run."""

from __future__ import annotations

import os
import struct
import time

from pgqueue import job

MARK = struct.Struct("<qq")
"""One line of the file that `mark` writes: number of the job, nanoseconds of the system's clock."""

_marks = os.open(os.environ["BENCH_MARKS"], os.O_WRONLY | os.O_APPEND) if "BENCH_MARKS" in os.environ else -1


@job
async def noop(n: int) -> None:
    """Nothing, on the event loop."""


@job
def noop_sync(n: int) -> None:
    """Nothing, in a thread."""


@job
async def padded(n: int, pad: str) -> None:
    """Nothing, with a payload."""


@job
async def mark(n: int) -> None:
    """Says when it was started."""
    os.write(_marks, MARK.pack(n, time.time_ns()))
