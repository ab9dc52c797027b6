"""`ctx.once`: steps that a job takes once over all its attempts, on record in the database.

In a transactional handler a step is part of its transaction. In any other it is recorded at once, on a connection
of the worker's pool; a sync handler, in its thread, has the event loop do that.
"""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import Awaitable, Callable
from typing import Any, Final

from pydantic_core import to_json

from pgqueue import calls
from pgqueue.calls import Call
from pgqueue.connections import Script, run
from pgqueue.context import JobContext
from pgqueue.errors import ConfigurationError, InvalidJob
from pgqueue.job import has_nul, show
from pgqueue.worker.pool import Pool

MAX_KEY_CHARS: Final = 255
MAX_VALUE_BYTES: Final = 1_048_576


class Steps:
    """Records the steps of all jobs of a worker. worker: gives the id under which this worker claims."""

    def __init__(self, pool: Pool, worker: Callable[[], int]) -> None:
        self._pool = pool
        self._worker = worker
        self._loop = asyncio.get_running_loop()

    def __reduce__(self) -> Any:
        """A context that travels to another process leaves this behind: what it needs is here."""
        return type(None), ()

    def once(self, context: JobContext, key: str, function: Callable[..., Any] | None, step: Callable[[], Any]) -> Any:
        """See `JobContext.once`. step: calls the function. In an async handler the answer is an awaitable."""
        if not context._claims:
            raise ConfigurationError(f"ctx.once is for one job, and {context.kind} takes many at once")
        _check_key(key)
        script = self._take(context, key, step) if function is not None else self._note(context, key)
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return self._now(context, script)
        return self._async(context, script)

    def _note(self, context: JobContext, key: str) -> Script[bool]:
        first, _ = yield calls.once(self._worker(), context.id, context._claims, key, None)
        return bool(first)

    def _take(self, context: JobContext, key: str, step: Callable[[], Any]) -> Script[Any]:
        """A script that is also sent what `step` gave, when it yields that instead of a call."""
        known, text = yield calls.recall(self._worker(), context.id, context._claims, key)
        if not known:
            value = _encoded(key, (yield step))  # type: ignore[misc]
            _, text = yield calls.once(self._worker(), context.id, context._claims, key, value)
        if text is None:
            raise InvalidJob(f"step {show(key)} was taken with once(key) and no function, so it has no value")
        return json.loads(text)

    def _now(self, context: JobContext, script: Script[Any]) -> Any:
        answer: Any = None
        try:
            while True:
                asked = script.send(answer)
                answer = self._execute_now(context, asked) if isinstance(asked, Call) else _result_now(asked())
        except StopIteration as stop:
            return stop.value

    async def _async(self, context: JobContext, script: Script[Any]) -> Any:
        answer: Any = None
        try:
            while True:
                asked = script.send(answer)
                if isinstance(asked, Call):
                    answer = await self._execute(context, asked)
                else:
                    answer = asked()
                    if inspect.isawaitable(answer):
                        answer = await answer
        except StopIteration as stop:
            return stop.value

    def _execute(self, context: JobContext, call: Call[Any]) -> Awaitable[Any]:
        if context._connection is None:
            return self._pool.execute(call)
        return self._pool.run(context._connection, call)

    def _execute_now(self, context: JobContext, call: Call[Any]) -> Any:
        if context._connection is None:
            return asyncio.run_coroutine_threadsafe(self._pool.execute(call), self._loop).result()
        return run(context._connection, _script(call))


def _script(call: Call[Any]) -> Script[Any]:
    return (yield call)


def _result_now(value: Any) -> Any:
    if inspect.isawaitable(value):
        if inspect.iscoroutine(value):
            value.close()
        raise ConfigurationError("ctx.once was given an async function in a sync handler; make the handler async")
    return value


def _check_key(key: object) -> None:
    if not isinstance(key, str) or not 1 <= len(key) <= MAX_KEY_CHARS or "\0" in key or not _is_text(key):
        raise InvalidJob(f"key {show(key)} names no step; give a str of 1 to {MAX_KEY_CHARS} characters, without NUL")


def _is_text(key: str) -> bool:
    """Whether it has no half of a surrogate pair, which no encoding can write."""
    return not any("\ud800" <= character <= "\udfff" for character in key)


def _encoded(key: str, value: Any) -> str:
    """What a step gave, as JSON text. Raises `InvalidJob` for what cannot be stored."""
    try:
        text = to_json(value, inf_nan_mode="constants").decode()
        json.loads(text, parse_constant=_refuse)
    except Exception as error:  # a type's own serializer may raise anything
        raise InvalidJob(f"step {show(key)} gave a {type(value).__name__}, which is no JSON: {error}") from error
    if has_nul(text):
        raise InvalidJob(f"step {show(key)} gave a string with the character U+0000, which Postgres refuses")
    if len(text) > MAX_VALUE_BYTES:
        raise InvalidJob(
            f"step {show(key)} gave {len(text):,} characters of JSON; the limit is {MAX_VALUE_BYTES:,}: store the data "
            "elsewhere and give its key"
        )
    return text


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")
