"""Handlers for test_killed.py: each has done its part when it notes `begin`, and at first goes no further."""

import asyncio
import time

from pgqueue import JobContext, job
from tests.worker.process import note

EFFECT = "insert into effect values (%s, %s)"
FOR_EVER_SECONDS = 3600


def stay(context: JobContext) -> None:
    note(context, "begin")
    if context.attempt == 1:
        time.sleep(FOR_EVER_SECONDS)


async def stay_async(context: JobContext) -> None:
    note(context, "begin")
    if context.attempt == 1:
        await asyncio.sleep(FOR_EVER_SECONDS)


@job(executor="process")
def stays_in_a_child(ctx: JobContext):
    stay(ctx)


@job(transactional=True)
def writes_and_stays_sync(ctx: JobContext):
    ctx.connection.execute(EFFECT, [ctx.id, ctx.attempt])
    stay(ctx)


@job(transactional=True)
async def writes_and_stays(ctx: JobContext):
    await ctx.connection.execute(EFFECT, [ctx.id, ctx.attempt])
    await stay_async(ctx)


@job
def once_and_stays_sync(ctx: JobContext):
    first = ctx.once("mail")
    stay(ctx)
    return first


@job
async def once_and_stays(ctx: JobContext):
    first = await ctx.once("mail")
    await stay_async(ctx)
    return first


@job
async def says_and_stays(ctx: JobContext):
    ctx.progress(ctx.attempt / 2, f"attempt {ctx.attempt}")
    ctx.log(f"line of attempt {ctx.attempt}")
    await stay_async(ctx)


TASKS = [stays_in_a_child, writes_and_stays_sync, writes_and_stays, once_and_stays_sync, once_and_stays, says_and_stays]
