"""Runs a handler within its middleware.

A slot is one task that runs job after job, so what a middleware sets in a context variable would reach the next job.
So the whole of it runs in a task of its own; a thread has a context of its own anyway.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from pgqueue.context import JobContext
from pgqueue.middlewares import Middleware
from pgqueue.worker.attempt import Attempt, Inside, Layer


def surround(middlewares: Sequence[Middleware]) -> Layer:
    """The layer of these middlewares, outermost first. It runs in the event loop."""

    async def within(attempt: Attempt, inside: Inside) -> Any:
        async with contextlib.AsyncExitStack() as stack:
            for middleware in middlewares:
                manager = middleware.open(attempt.context)
                if middleware.is_async:
                    await stack.enter_async_context(manager)
                else:
                    stack.enter_context(manager)
            return await inside(attempt)

    async def apart(attempt: Attempt, inside: Inside) -> tuple[Any, BaseException | None]:
        try:
            return await within(attempt, inside), None
        except (SystemExit, KeyboardInterrupt) as error:  # out of a task these would end the event loop
            return None, error

    async def layer(attempt: Attempt, inside: Inside) -> Any:
        result, error = await asyncio.get_running_loop().create_task(apart(attempt, inside))
        if error is not None:
            raise error
        return result

    return layer


def call_within(openers: Iterable[Callable[[JobContext], Any]], context: JobContext, handler: Callable[[], Any]) -> Any:
    """Calls a sync handler within sync middlewares, outermost first."""
    with contextlib.ExitStack() as stack:
        for opener in openers:
            stack.enter_context(opener(context))
        return handler()
    return None  # one of them swallowed its error
