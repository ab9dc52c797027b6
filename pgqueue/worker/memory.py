"""A cap on the memory of a child process, by its address space (RLIMIT_AS)."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from pgqueue.errors import ConfigurationError

_first: list[int] = []
"""Bytes of address space before the first capped job, so that what a job leaks counts against the next ones."""


@contextlib.contextmanager
def capped(limit: int | None) -> Iterator[None]:
    """Inside, this process may take `limit` bytes beyond what it had before its first such job; None for no limit.

    What would go beyond raises MemoryError, or ends the process where a library does not expect that.
    """
    if limit is None:
        yield
        return
    import resource

    try:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except OSError as error:
        raise ConfigurationError("@job(memory=…) needs Linux, where a process can be held to it") from error
    _first.append(pages * resource.getpagesize())
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    wanted = _first[0] + limit
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_AS, (wanted, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
