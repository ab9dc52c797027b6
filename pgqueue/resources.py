"""What a worker makes once and hands to its handlers as `ctx.resources`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


class Resources(Mapping[str, Any]):
    """Values by the names of their lifespans: `ctx.resources.http`, `ctx.resources["http"]`.

    Raises `LookupError` for a name that no lifespan has, as an attribute also `AttributeError`.
    """

    __slots__ = ("_values",)

    def __init__(self, values: Mapping[str, Any] | None = None) -> None:
        self._values = {} if values is None else values

    def __getitem__(self, name: str) -> Any:
        try:
            return self._values[name]
        except KeyError:
            raise KeyError(self._missing(name)) from None

    def __getattr__(self, name: str) -> Any:
        try:
            return self._values[name]
        except KeyError:
            raise AttributeError(self._missing(name)) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def _missing(self, name: str) -> str:
        known = ", ".join(self._values) or "none"
        return (
            f"no lifespan called {name!r} was started here; there are: {known}. A handler in a process sees those of "
            "@lifespan(process=True) only, every other handler all others"
        )
