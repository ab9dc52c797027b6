"""`@lifespan`: what is made once for each worker, such as a pool of connections, a client or a model.

    @lifespan
    async def http() -> AsyncIterator[httpx.AsyncClient]:
        async with httpx.AsyncClient() as client:
            yield client

    @job
    async def fetch(ctx: JobContext, url: str) -> None:
        await ctx.resources.http.get(url)

Handlers find it under the function's name.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar, overload

from pgqueue.errors import ConfigurationError
from pgqueue.job import show

F = TypeVar("F", bound=Callable[..., Iterator[Any] | AsyncIterator[Any]])


@dataclass(frozen=True, slots=True)
class Lifespan:
    """A registered lifespan. process: whether each child process makes its own, instead of the worker."""

    name: str
    function: Callable[..., Any]
    is_async: bool
    takes_resources: bool
    process: bool

    @property
    def where(self) -> str:
        """Module and name of the function."""
        return f"{self.function.__module__}.{self.function.__qualname__}"


lifespans: dict[str, Lifespan] = {}
"""Every lifespan of this process by name, in the order in which they were defined and start."""


@overload
def lifespan(function: F, /) -> F: ...
@overload
def lifespan(*, process: bool = False) -> Callable[[F], F]: ...
def lifespan(function: Any = None, /, *, process: bool = False) -> Any:
    """Registers a generator function, sync or async: what it yields is in `ctx.resources` under its name.

    It starts before the worker claims its first job and goes on after the last one has ended, in reverse order; an
    async one in the event loop, a sync one in a thread. With a parameter it is given the resources made before it.

    process: make it in each child process instead, for handlers with `executor="process"`; a sync function.

    Raises `ConfigurationError` for what is no generator function and for a name that another one has.
    """

    def register(function: F) -> F:
        is_async = inspect.isasyncgenfunction(function)
        if not is_async and not inspect.isgeneratorfunction(function):
            raise ConfigurationError(f"@lifespan was put on {show(function)}; it goes on a function with one yield")
        if process and is_async:
            raise ConfigurationError(
                f"@lifespan(process=True) of {function.__qualname__}: a child process has no event loop; make it sync"
            )
        if len(inspect.signature(function).parameters) > 1:
            raise ConfigurationError(
                f"@lifespan of {function.__qualname__}: it takes at most one parameter, the resources made before it"
            )
        made = Lifespan(function.__name__, function, is_async, bool(inspect.signature(function).parameters), process)
        before = lifespans.get(made.name)
        if before is not None and before.where != made.where:
            raise ConfigurationError(
                f"two lifespans are called {made.name!r}: {before.where} and {made.where}; rename one of them"
            )
        lifespans[made.name] = made
        return function

    return register if function is None else register(function)
