"""What the workers run meanwhile: async and sync, short and longer, some that fail, some that kill,
and some that write in the transaction of their completion."""

import asyncio
import ctypes
import os
import time

from pgqueue import Backoff, JobContext, enqueue, job
from tests.chaos.ledger import run

SOON = Backoff(base=0.3, factor=1)
EFFECT = "insert into effect values (%s)"
"""What transactional handlers do, in the queue's own database."""
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


@job(transactional=True)
async def writes(context: JobContext, batch: int):
    with run(context):
        await context.connection.execute(EFFECT, [context.id])
        await asyncio.sleep(0.2)


@job(transactional=True)
def writes_sync(context: JobContext, batch: int):
    with run(context):
        context.connection.execute(EFFECT, [context.id])
        time.sleep(0.2)


@job(transactional=True)
async def link(context: JobContext, batch: int, links: int):
    """One of a chain: enqueues the next, then writes."""
    with run(context):
        if links:
            await enqueue(context.connection, link.job(batch, links - 1))
        await context.connection.execute(EFFECT, [context.id])


@job
async def exits(context: JobContext, batch: int):
    with run(context):
        os._exit(EXIT_CODE)


@job
def crashes(context: JobContext, batch: int):
    """As a bug in an extension module does: SIGSEGV."""
    with run(context):
        ctypes.string_at(0)
