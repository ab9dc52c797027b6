"""What a batch handler is given: many jobs of its kind at once, each with an outcome of its own.

@job(batch=100)
def index(items: Batch[Document]) -> None:
    for item in items:
        …item.args, a Document…

enqueue(conn, index.job(Document(…)))
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar, overload

from pgqueue.context import JobContext
from pgqueue.errors import ConfigurationError
from pgqueue.handed import handed
from pgqueue.job import Seconds, seconds, show

T = TypeVar("T")

MOST: Final = 1_000
"""Jobs in one batch, at most: as many as a worker takes in one round trip."""
ARGUMENT: Final = "item"
"""Name under which the value of one job is stored."""


@dataclass(frozen=True, slots=True)
class Mark:
    """What a handler said of one item. what: complete, fail, retry or snooze."""

    what: str
    value: Any = None
    """The result, the error, or the delay in seconds."""
    reason: str | None = None


class Item(Generic[T]):
    """One job of a batch.

    Left alone it completes when the handler returns, and fails with its error when the handler raises. What is said of
    it here stands, whatever becomes of the others; said twice, the last word counts.
    """

    __slots__ = ("args", "attempt", "id", "mark")

    def __init__(self, id: int, attempt: int, args: T) -> None:
        self.id = id
        """The job's number."""
        self.attempt = attempt
        """Which attempt this is, from 1."""
        self.args = args
        """What the job was made with."""
        self.mark: Mark | None = None
        """What was said of it; None for nothing yet."""

    def complete(self, result: Any = None) -> None:
        """It is done. result: kept with the job, as JSON can hold it."""
        self.mark = Mark("complete", result)

    def fail(self, error: BaseException | str) -> None:
        """Its attempt failed: it is tried again as its kind says, or ends as failed."""
        if not isinstance(error, BaseException | str):
            raise TypeError(f"error {show(error)} of item {self.id} is neither an exception nor a text")
        self.mark = Mark("fail", RuntimeError(error) if isinstance(error, str) else error)

    def retry(self, delay: Seconds, reason: str | None = None) -> None:
        """Its attempt failed: it is tried again after `delay`, seconds or timedelta, if attempts are left."""
        self.mark = Mark("retry", seconds("delay", delay, zero=True), reason)

    def snooze(self, delay: Seconds, reason: str | None = None) -> None:
        """Not now: it starts again after `delay`, seconds or timedelta. The attempt does not count."""
        self.mark = Mark("snooze", seconds("delay", delay, zero=True), reason)

    def __repr__(self) -> str:
        return f"<Item {self.id}, attempt {self.attempt}>"


class Batch(Sequence[Item[T]]):
    """The jobs of one call, in the order in which they were due. Never empty in a worker."""

    __slots__ = ("_items",)

    def __init__(self, items: Iterable[Item[T]]) -> None:
        self._items = list(items)

    @classmethod
    def of(cls, values: Iterable[T]) -> Batch[T]:
        """A batch made by hand, to call a handler in a test: `index(Batch.of([document]))`."""
        return cls(Item(number, 1, value) for number, value in enumerate(values, 1))

    @overload
    def __getitem__(self, index: int) -> Item[T]: ...
    @overload
    def __getitem__(self, index: slice) -> list[Item[T]]: ...
    def __getitem__(self, index: int | slice) -> Item[T] | list[Item[T]]:
        return self._items[index]

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[Item[T]]:
        return iter(self._items)

    def __repr__(self) -> str:
        return f"<Batch of {len(self)}>"


def of_one(function: Callable[..., Any], name: str) -> tuple[Callable[..., Any], str]:
    """A function with the parameters that one job of a batch handler has, and which of the handler's takes the batch.

    Raises `ConfigurationError` when the handler takes anything but the context, connections, and a batch.
    """
    try:
        hints = typing.get_type_hints(function, include_extras=True)
    except (NameError, TypeError) as error:
        raise ConfigurationError(f"type hints of {name} cannot be resolved: {error}") from error
    parameters = list(inspect.signature(function).parameters.values())
    context = parameters[:1] if parameters and hints.get(parameters[0].name) is JobContext else []
    given = [each.replace(annotation=hints.get(each.name)) for each in parameters if handed(hints.get(each.name))]
    rest = [each for each in parameters[len(context) :] if not handed(hints.get(each.name))]
    hint = hints.get(rest[0].name) if rest else None
    if len(rest) != 1 or typing.get_origin(hint) is not Batch or rest[0].kind is rest[0].POSITIONAL_ONLY:
        raise ConfigurationError(
            f"{name} has batch=…, so after the context it takes one parameter, annotated Batch[…] with the type that "
            f"one job has; it takes {inspect.signature(function)}"
        )
    (type_,) = typing.get_args(hint)

    def one() -> None: ...

    item = inspect.Parameter(ARGUMENT, inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=type_)
    contexts = [parameter.replace(annotation=JobContext) for parameter in context]
    positional = [*contexts, *(each for each in given if each.kind is not each.KEYWORD_ONLY), item]
    all_ = [*positional, *(each for each in given if each.kind is each.KEYWORD_ONLY)]
    one.__signature__ = inspect.Signature(all_)  # type: ignore[attr-defined]
    one.__annotations__ = {parameter.name: parameter.annotation for parameter in all_}
    one.__module__, one.__qualname__ = function.__module__, function.__qualname__
    return one, rest[0].name


def takes_batch(function: Callable[..., Any]) -> bool:
    """Whether a parameter is annotated as a batch, so that its handler must be told of batches."""
    try:
        hints = typing.get_type_hints(function)
    except (NameError, TypeError):  # said elsewhere
        return False
    return any(hint is Batch or typing.get_origin(hint) is Batch for hint in hints.values())
