"""What the workers run meanwhile: async and sync, short and longer, some that fail and some that kill."""

import asyncio
import ctypes
import os
import time

from pgqueue import Backoff, JobContext, job
from tests.chaos.ledger import run

SOON = Backoff(base=0.3, factor=1)
EXIT_CODE = 17
"""Of a worker that was killed by `exits`."""


@job
async def quick(context: JobContext, batch: int):
    with run(context):
        pass


@job
def quick_sync(context: JobContext, batch: int):
    with run(context):
        pass


@job
async def waits(context: JobContext, batch: int, seconds: float):
    with run(context):
        await asyncio.sleep(seconds)


@job
def waits_sync(context: JobContext, batch: int, seconds: float):
    with run(context):
        time.sleep(seconds)


@job(backoff=SOON)
async def fails_at_first(context: JobContext, batch: int, times: int):
    with run(context):
        if context.attempt <= times:
            raise RuntimeError("not yet")


@job(backoff=SOON)
def fails(context: JobContext, batch: int):
    with run(context):
        raise RuntimeError("never")


@job
async def exits(context: JobContext, batch: int):
    with run(context):
        os._exit(EXIT_CODE)


@job
def crashes(context: JobContext, batch: int):
    """As a bug in an extension module does: SIGSEGV."""
    with run(context):
        ctypes.string_at(0)
