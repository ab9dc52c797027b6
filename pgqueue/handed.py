"""Parameters of a transactional handler that are no arguments of its jobs: connections that the worker hands in.

Known by the names of their types, so that nothing here needs a driver.
"""

from __future__ import annotations

import typing
from collections.abc import Mapping
from typing import Any, Final, Protocol

from pgqueue.errors import ConfigurationError

ASYNC: Final = {"psycopg.AsyncConnection", "sqlalchemy.AsyncConnection", "sqlalchemy.AsyncSession"}
SYNC: Final = {"psycopg.Connection", "sqlalchemy.Connection", "sqlalchemy.Session"}


class Connection(Protocol):
    """What all of them have in common, for type checkers: it tells such a parameter from an argument."""

    @property
    def execute(self) -> Any: ...
    @property
    def commit(self) -> Any: ...
    @property
    def rollback(self) -> Any: ...


def handed(hint: object) -> str | None:
    """Which connection a type hint stands for, such as 'psycopg.Connection'; None if it is an argument's."""
    type_ = typing.get_origin(hint) or hint
    if not isinstance(type_, type):
        return None
    for base in type_.__mro__:
        name = f"{base.__module__.partition('.')[0]}.{base.__name__}"
        if name in ASYNC or name in SYNC:
            return name
    return None


def check_handed(kind: str, handed: Mapping[str, str], transactional: bool, is_async: bool) -> None:
    """Refuses what no worker could hand in. kind: of the jobs. Raises `ConfigurationError`."""
    for parameter, wanted in handed.items():
        if not transactional:
            raise ConfigurationError(
                f"{kind} takes the connection {parameter}; decorate it with @job(transactional=True)"
            )
        if wanted not in (ASYNC if is_async else SYNC):
            raise ConfigurationError(
                f"{kind} is {'async' if is_async else 'sync'} and takes {parameter}, a {wanted}; it can be given "
                f"{', '.join(sorted(ASYNC if is_async else SYNC))}"
            )
