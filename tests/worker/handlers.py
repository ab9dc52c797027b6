"""Handlers for workers in processes of their own. They tell the test what they do by rows in its table `ledger`."""

import asyncio
import ctypes
import os
import time

from pgqueue import JobContext, job
from tests.worker.process import note


@job
def quick(context: JobContext):
    note(context, "end")


@job
async def noop():
    pass


@job
async def waits(context: JobContext, seconds: float = 60):
    note(context, "begin")
    await asyncio.sleep(seconds)
    note(context, "end")


@job
async def sleeps(seconds: float) -> int:
    await asyncio.sleep(seconds)
    return os.getpid()


@job
def sleeps_sync(seconds: float) -> int:
    time.sleep(seconds)
    return os.getpid()


@job
def holds_pythons_lock(context: JobContext, seconds: int) -> int:
    """As an extension module that does not release it: no thread of the process runs meanwhile."""
    note(context, "begin")
    ctypes.PyDLL(None).sleep(seconds)
    return os.getpid()


@job
async def waits_at_first(context: JobContext):
    note(context, "begin")
    await asyncio.sleep(60 if context.attempt == 1 else 0)
    note(context, "end")


@job
async def ignores_cancellation(context: JobContext):
    note(context, "begin")
    while True:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            continue


@job
def sticks(context: JobContext):
    note(context, "begin")
    time.sleep(3600)


@job
async def sticks_in_a_thread_of_the_loop(context: JobContext):
    note(context, "begin")
    await asyncio.to_thread(time.sleep, 3600)


@job
def kills_its_worker(context: JobContext):
    note(context, "begin")
    os.kill(os.getpid(), 9)
