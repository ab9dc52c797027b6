"""After which errors a failed attempt is followed by another: `retry_on=` and `give_up_on=`."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final, cast

from pgqueue.backoff import takes
from pgqueue.errors import ConfigurationError
from pgqueue.job import show

Which = type[BaseException] | Iterable[type[BaseException]] | Callable[[BaseException], bool]
"""What `retry_on=` and `give_up_on=` take: a class of errors, several, or a function that is asked."""

log: Final = logging.getLogger("pgqueue.worker")


@dataclass(frozen=True, slots=True)
class Errors:
    """Which errors: some classes, or what a function says."""

    classes: tuple[type[BaseException], ...]
    function: Callable[[BaseException], bool] | None = None

    def __contains__(self, error: object) -> bool:
        if self.function is not None and isinstance(error, BaseException):
            return bool(self.function(error))
        return isinstance(error, self.classes)

    def __str__(self) -> str:
        return getattr(self.function, "__name__", "") or ", ".join(each.__name__ for each in self.classes) or "none"


def errors_of(what: str, given: Which | None) -> Errors | None:
    """What retry_on= or give_up_on= was given; None for none. what: its name. Raises `ConfigurationError`."""
    if given is None:
        return None
    if isinstance(given, type):
        given = (given,)
    elif callable(given):
        if takes(given) != 1:
            raise ConfigurationError(f"{what} {show(given)} does not take one argument, the error")
        return Errors((), given)
    if isinstance(given, str | bytes) or not isinstance(given, Iterable):
        given = cast("Any", (given,))
    classes = tuple(cast("Iterable[Any]", given))
    for each in classes:
        if not (isinstance(each, type) and issubclass(each, BaseException)):
            raise ConfigurationError(f"{what} {show(each)} is no class of exceptions; give classes, or a function")
    return Errors(classes)


def retries(error: BaseException, retry_on: Errors | None, give_up_on: Errors | None) -> bool:
    """Whether an attempt that ended with `error` may be followed by another.

    Giving up comes first. A group is retried if all errors in it are, and given up if one of them is. A function that
    fails is taken for leave to try again.
    """
    if retry_on is None and give_up_on is None:
        return True
    inside = list(_inside(error))
    try:
        if give_up_on is not None and any(each in give_up_on for each in (error, *inside)):
            return False
        return retry_on is None or error in retry_on or (bool(inside) and all(each in retry_on for each in inside))
    except Exception as broken:
        log.warning("whether to retry cannot be told, so it is: %s: %s", type(broken).__name__, broken)
        return True


def _inside(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            yield from _inside(each) if isinstance(each, BaseExceptionGroup) else (each,)
