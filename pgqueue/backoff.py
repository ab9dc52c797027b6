"""How long after a failed attempt the next one comes."""

from __future__ import annotations

import inspect
import logging
import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final, cast

from pgqueue.errors import ConfigurationError, InvalidJob
from pgqueue.job import RetryPolicy, Seconds, seconds, show

LONGEST_PAUSE: Final = 10 * 365 * 86_400.0
"""Seconds. A backoff without a sensible cap would end at a moment that no calendar has."""

PauseFunction = Callable[[int], Seconds] | Callable[[int, BaseException], Seconds]
"""Pause after attempt number n, from 1; may take the error as well."""
AnyBackoff = RetryPolicy | Seconds | PauseFunction
"""What `backoff=` takes: a policy, a pause that is always the same, or a function."""

log: Final = logging.getLogger("pgqueue.worker")


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential pauses with a cap and jitter: 1 s, 2 s, 4 s … 1 h by default, each shortened by up to a half.

    base:    seconds before the second attempt.
    factor:  how much longer each pause is than the one before; 1 for always the same.
    cap:     seconds no pause exceeds.
    jitter:  share of the pause that is left to chance, 0 to 1, so that jobs that failed together do not all come
             back together. "Equal jitter" in Marc Brooker's comparison (AWS Architecture Blog, 2015) is 0.5.
    """

    base: float = 1.0
    factor: float = 2.0
    cap: float = 3600.0
    jitter: float = 0.5

    def __post_init__(self) -> None:
        numbers = (self.base, self.factor, self.cap, self.jitter)
        if any(isinstance(one, bool) or not isinstance(one, float | int) for one in numbers) or not (
            self.base >= 0 and self.factor >= 1 and self.cap >= 0 and 0 <= self.jitter <= 1
        ):
            raise ConfigurationError(
                f"{self} cannot work; base and cap are seconds, at least 0, factor at least 1, jitter 0 to 1"
            )

    def longest(self, attempt: int) -> float:
        """Seconds between attempt number `attempt` (from 1) and the next, before jitter."""
        try:
            return float(min(self.cap, self.base * self.factor ** (attempt - 1)))
        except OverflowError:
            return self.cap

    def pause(self, attempt: int) -> float:
        """Seconds between attempt number `attempt` (from 1) and the next, after jitter."""
        return _shortened(self.longest(attempt), self.jitter)


@dataclass(frozen=True, slots=True)
class Fixed:
    """The same pause before each attempt. `backoff=60` is `Fixed(60)`.

    seconds:  the pause.
    jitter:   share of it that is left to chance, 0 to 1; a tenth unless said otherwise.
    """

    seconds: float
    jitter: float = 0.1

    def __post_init__(self) -> None:
        _check("seconds", self.seconds, self.jitter)

    def longest(self, attempt: int) -> float:
        """Seconds between any attempt and the next, before jitter."""
        return float(self.seconds)

    def pause(self, attempt: int) -> float:
        """Seconds between any attempt and the next, after jitter."""
        return _shortened(self.seconds, self.jitter)


@dataclass(frozen=True, slots=True)
class Custom:
    """Pauses by a function of one's own. `backoff=function` is `Custom(function)`.

    function:  the number of the attempt that failed, from 1, → seconds or timedelta. If it takes a second argument, it
               is given the error too. Should it raise, or return what is no length of time, `Backoff()` decides.
    cap:       seconds no pause exceeds; None for no limit.
    jitter:    share of the pause that is left to chance, 0 to 1; a tenth unless said otherwise.
    """

    function: PauseFunction
    cap: float | None = None
    jitter: float = 0.1
    takes_error: bool = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not callable(self.function) or isinstance(self.function, type):
            raise ConfigurationError(
                f"{show(self.function)} is no function of the attempt; for the same pause give Fixed(…)"
            )
        _check("cap", 0 if self.cap is None else self.cap, self.jitter)
        object.__setattr__(self, "takes_error", takes(self.function) == 2)

    def longest(self, attempt: int, error: BaseException | None = None) -> float:
        """Seconds between attempt number `attempt` (from 1) and the next, before jitter."""
        given = (attempt, error or Exception()) if self.takes_error else (attempt,)
        told = cast("Callable[..., Seconds]", self.function)(*given)
        return min(_plain(told), math.inf if self.cap is None else self.cap)

    def pause(self, attempt: int, error: BaseException | None = None) -> float:
        """Seconds between attempt number `attempt` (from 1) and the next, after jitter."""
        return _shortened(self.longest(attempt, error), self.jitter)


DEFAULT_BACKOFF: Final = Backoff()


def backoff_of(given: AnyBackoff | None) -> RetryPolicy | None:
    """What `backoff=` was given, as a policy; None for none. Raises `ConfigurationError`."""
    if given is None or (isinstance(given, RetryPolicy) and not isinstance(given, type)):
        return given
    if isinstance(given, float | int | timedelta):
        try:
            return Fixed(seconds("backoff", given, zero=True))
        except InvalidJob as error:
            raise ConfigurationError(str(error)) from None
    if callable(given) and not isinstance(given, type):
        return Custom(given)
    raise ConfigurationError(
        f"backoff {show(given)} is no pause; give seconds, a Backoff, a function of the attempt, or an object with the "
        "method pause(attempt)"
    )


def pause_after(policy: RetryPolicy | None, attempt: int, error: BaseException) -> timedelta:
    """Until the next attempt. A policy of the application's own that fails must not take the worker along."""
    try:
        pause = (
            policy.pause(attempt, error) if isinstance(policy, Custom) else (policy or DEFAULT_BACKOFF).pause(attempt)
        )
        return timedelta(seconds=min(LONGEST_PAUSE, _plain(pause)))
    except Exception as broken:
        log.warning("backoff %s failed, so the default decides: %s: %s", show(policy), type(broken).__name__, broken)
        return timedelta(seconds=DEFAULT_BACKOFF.pause(attempt))


@dataclass(frozen=True, slots=True)
class Step:
    """An attempt and the pause after it. Seconds; None when the policy cannot tell beforehand."""

    attempt: int
    shortest: float | None
    longest: float | None
    """The pause until the next attempt; both None for the last one."""
    earliest: float | None
    latest: float | None
    """When the attempt starts, counted from the first and without the time that attempts take."""


def schedule(policy: RetryPolicy | None, attempts: int) -> list[Step]:
    """What a policy comes to, for `attempts` attempts that all fail."""
    steps: list[Step] = []
    earliest: float | None = 0.0
    latest: float | None = 0.0
    for attempt in range(1, attempts + 1):
        shortest, longest = (None, None) if attempt == attempts else _range(policy or DEFAULT_BACKOFF, attempt)
        steps.append(Step(attempt, shortest, longest, earliest, latest))
        earliest = None if earliest is None or shortest is None else earliest + shortest
        latest = None if latest is None or longest is None else latest + longest
    return steps


def _range(policy: RetryPolicy, attempt: int) -> tuple[float | None, float | None]:
    try:
        if isinstance(policy, Backoff | Fixed | Custom):
            pauses = [policy.longest(attempt) * (1 - policy.jitter), policy.longest(attempt)]
        else:
            pauses = [_plain(policy.pause(attempt)) for _ in range(20)]
    except Exception:  # it depends on the error, or is broken: then the default decides when the time comes
        return None, None
    low, high = (min(LONGEST_PAUSE, pause) for pause in (min(pauses), max(pauses)))
    return low, high


def _shortened(pause: float, jitter: float) -> float:
    return pause * (1 - jitter * random.random())


def _plain(pause: object) -> float:
    """Seconds, whatever a function returned. Raises `ValueError` or `TypeError`."""
    length = pause.total_seconds() if isinstance(pause, timedelta) else float(cast("Any", pause))
    if not length >= 0:
        raise ValueError(f"a pause of {length} s")
    return length


def _check(what: str, length: float, jitter: float) -> None:
    for name, value, most in ((what, length, 1e10), ("jitter", jitter, 1)):
        if isinstance(value, bool) or not isinstance(value, float | int) or not 0 <= value <= most:
            raise ConfigurationError(f"{name} {show(value)} cannot work; a pause is at least 0 seconds, jitter 0 to 1")


def takes(function: Callable[..., Any]) -> int:
    """How many arguments a function of somebody else's takes, at most two. Raises `ConfigurationError` for none."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # some that are written in C do not say
        return 1
    plain = [each for each in parameters if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)]
    if any(each.kind is each.VAR_POSITIONAL for each in parameters):
        return 2
    if not plain or len([each for each in plain if each.default is each.empty]) > 2:
        raise ConfigurationError(f"{show(function)} does not take the number of an attempt, or it and the error")
    return min(2, len(plain))
