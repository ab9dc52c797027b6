"""Stops attempts that run too long: one timer for all slots, instead of one for each job.

A job that ends in time costs a comparison. The timer is set to the earliest deadline it was told of; when it rings it
stops every slot whose deadline has passed and looks for the next.
"""

from __future__ import annotations

import asyncio
import math
import time
from typing import Literal, Protocol


class Stoppable(Protocol):
    """A slot, as far as deadlines know it."""

    deadline: float

    def cut(self, why: Literal["timeout"]) -> None:
        """Stops what runs there."""


class Deadlines:
    """The deadlines of all slots of a worker."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._slots: set[Stoppable] = set()
        self._next = math.inf
        self._timer: asyncio.TimerHandle | None = None

    def add(self, slot: Stoppable) -> None:
        """`slot.deadline`, by `time.monotonic`, is to be kept."""
        self._slots.add(slot)
        if slot.deadline < self._next:
            self._set(slot.deadline)

    def _set(self, moment: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._next = moment
        self._timer = self._loop.call_later(max(0.0, moment - time.monotonic()), self._ring)

    def _ring(self) -> None:
        self._next, self._timer = math.inf, None
        now = time.monotonic()
        for slot in [slot for slot in self._slots if slot.deadline <= now]:
            slot.cut("timeout")
        self._slots = {slot for slot in self._slots if slot.deadline < math.inf}
        if self._slots:
            self._set(min(slot.deadline for slot in self._slots))
