"""When a failed attempt is followed by the next one."""

from __future__ import annotations

import random
from dataclasses import dataclass

from pgqueue.errors import ConfigurationError


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
        if self.base < 0 or self.factor < 1 or self.cap < 0 or not 0 <= self.jitter <= 1:
            raise ConfigurationError(
                f"{self} cannot work; base and cap are at least 0, factor at least 1, jitter 0 to 1"
            )

    def longest(self, attempt: int) -> float:
        """Seconds between attempt number `attempt` (from 1) and the next, before jitter."""
        try:
            return float(min(self.cap, self.base * self.factor ** (attempt - 1)))
        except OverflowError:
            return self.cap

    def pause(self, attempt: int) -> float:
        """Seconds between attempt number `attempt` (from 1) and the next, after jitter."""
        return self.longest(attempt) * (1 - self.jitter * random.random())
