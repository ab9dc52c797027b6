"""Arguments of former versions: jobs that were enqueued before a deploy, brought up to what the handler takes now.

    @job(version=3, upcasters={1: rename_amount, 2: add_currency})

A job notes the version its arguments were made for, in its meta data; nothing is noted for version 1. When it runs, the
upcasters from there on take its arguments one version up each, as JSON holds them, and only then are they checked.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from pgqueue.errors import ArgumentsTooNew, ConfigurationError, InvalidJob
from pgqueue.job import check_whole, show

KEY: Final = "version"
"""Of a job's meta data: the version of its arguments."""
NEWEST: Final = 32_767

Upcaster = Callable[[dict[str, Any]], Mapping[str, Any]]
"""Takes arguments of one version, as JSON holds them, and returns those of the next."""


def note(version: int) -> dict[str, Any] | None:
    """The meta data of a job whose arguments are of that version; None for none."""
    return {KEY: version} if version > 1 else None


@dataclass(frozen=True, slots=True)
class Versions:
    """The versions of a handler's arguments.

    current:    the one its parameters are of, from 1.
    upcasters:  one for each version before it: {1: from_1_to_2, 2: from_2_to_3}.

    Raises `ConfigurationError` when one is missing, too many, or no plain function.
    """

    current: int = 1
    upcasters: Mapping[int, Upcaster] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_whole("version", self.current, 1, NEWEST, f"use 1 to {NEWEST}")
        if not isinstance(self.upcasters, Mapping):
            raise ConfigurationError(f"upcasters {show(self.upcasters)} are no dict; give {{version: function}}")
        missing = [version for version in range(1, self.current) if version not in self.upcasters]
        if missing:
            raise ConfigurationError(
                f"version is {self.current} and there is no upcaster from version {missing[0]}, of which jobs may "
                f"still wait; give upcasters={{{missing[0]}: …}}, which may raise if there can be none"
            )
        for version, upcaster in self.upcasters.items():
            if isinstance(version, bool) or not isinstance(version, int) or not 0 < version < self.current:
                raise ConfigurationError(
                    f"there is an upcaster from version {show(version)}, and version is {self.current}; raise version= "
                    f"or remove it"
                )
            if not callable(upcaster) or inspect.iscoroutinefunction(upcaster):
                raise ConfigurationError(
                    f"the upcaster from version {version} is {show(upcaster)}; give a plain function that takes and "
                    f"returns a dict"
                )

    def upcast(self, name: str, payload: str, meta: str | None) -> str:
        """A job's arguments as the current version has them.

        name:     of the handler, for messages.
        payload:  the stored arguments, JSON text.
        meta:     the job's meta data, JSON text; None for none.

        Raises `InvalidJob` when an upcaster fails, `ArgumentsTooNew` when the job is of a version to come.
        """
        version = self._of(name, meta)
        if version == self.current:
            return payload
        if version > self.current:
            raise ArgumentsTooNew(
                f"arguments are of version {version} and {name} here is at version {self.current}; the job waits for a "
                f"worker with newer code"
            )
        try:
            args = json.loads(payload)
        except (ValueError, RecursionError) as error:
            raise InvalidJob(f"stored arguments of {name} cannot be read: {error}") from error
        for step in range(version, self.current):
            try:
                args = self.upcasters[step](args)
            except Exception as error:
                raise InvalidJob(
                    f"stored arguments of {name} are of version {version}, and the upcaster from {step} to {step + 1} "
                    f"raised {type(error).__name__}: {error}"
                ) from error
            if not isinstance(args, Mapping):
                raise InvalidJob(
                    f"the upcaster of {name} from version {step} to {step + 1} returned {type(args).__name__}, no dict"
                )
        try:
            return json.dumps(dict(args))
        except (TypeError, ValueError, RecursionError) as error:
            raise InvalidJob(f"the upcasters of {name} made of version {version} what is no JSON: {error}") from error

    def _of(self, name: str, meta: str | None) -> int:
        """The version that a job's arguments are of."""
        if meta is None or KEY not in meta:
            return 1
        version = json.loads(meta).get(KEY, 1)
        if isinstance(version, bool) or not isinstance(version, int) or version < 1:
            raise InvalidJob(f"stored arguments of {name} are of version {show(version)}, which is none; it is from 1")
        return version
