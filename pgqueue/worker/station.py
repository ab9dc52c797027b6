"""One queue inside a worker: its slots, the jobs waiting for one, and how many more to ask for.

How many beyond the free slots adapts to measured run times: what will start within the next few tens of milliseconds.
So jobs of 20 µs are prefetched by the thousand and jobs of one second never, and there is no knob.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from pgqueue.calls import ClaimedJob

HORIZON: Final = 0.06
"""Seconds ahead for which jobs are prefetched."""
MOST: Final = 1_000
"""Jobs one exchange takes at most."""
SWEEP: Final = 1.0
"""Seconds between claims that ignore the cursor, to find what became runnable behind it."""
PRIORITIES: Final = 10


@dataclass(slots=True)
class Ask:
    """Jobs that one exchange asks for on behalf of a station. looks: who waits to hear what it found."""

    station: Station
    wanted: int
    swept: bool
    looks: list[asyncio.Future[int]]


class Station:
    """A queue's place in this worker. Touched by the event loop only."""

    def __init__(self, queue: str, slots: int, now: float, per_slot: float = 1.0) -> None:
        """per_slot: how many jobs a slot takes at once, more than one where there are batches; the rest it learns."""
        self.queue = queue
        self.slots = slots
        self.open = True
        """Whether lanes ask for jobs. Closed once a sweep found nothing, until the bell rings or a timer is due."""
        self.went_dry = asyncio.Event()
        """Set when a sweep found fewer jobs than asked for: time to think of sleeping."""
        self.buffer: deque[ClaimedJob] = deque()
        self.running = 0
        self._per_slot = per_slot
        self._taken = 0
        self._taken_before = 0
        self._asked = 0
        self._looks: list[asyncio.Future[int]] = []
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._after_run_at: list[bytes | None] = [None] * PRIORITIES
        self._after_id: list[int | None] = [None] * PRIORITIES
        self._sweep_at = now
        self._mean = HORIZON
        self._rate = 0.0
        self._finished = 0
        self._busy = 0.0
        self._busy_since = now

    # What lanes ask and bring

    def ask(self, now: float, most: int) -> Ask | None:
        """What to ask for now, at most `most` jobs; None for nothing. Ends in `receive` or `unask`."""
        if not self.open:
            return None
        free = int((self.slots - self.running) * self._per_slot) - len(self.buffer) - self._asked
        wanted = min(MOST, most, free + self._prefetch(now))
        if wanted <= 0:
            return None
        self._asked += wanted
        looks, self._looks = self._looks, []
        return Ask(self, wanted, bool(looks) or now >= self._sweep_at, looks)

    @property
    def cursor(self) -> tuple[Sequence[bytes | None], Sequence[int | None]]:
        """The claim cursor: for each priority, run_at and id of the last job taken."""
        return self._after_run_at, self._after_id

    def receive(self, ask: Ask, jobs: Sequence[ClaimedJob], *, swept: bool, took: float, now: float) -> None:
        """Jobs that an ask brought. took: seconds the exchange took."""
        self._asked -= ask.wanted
        if swept:
            # A sweep that is itself slow (a held snapshot, a long line of dead entries) is made more seldom.
            self._sweep_at = now + max(SWEEP, 20 * took)
        for priority, last in {job.priority: job for job in jobs}.items():
            self._after_run_at[priority], self._after_id[priority] = last.run_at, last.id
        if jobs and not self.buffer and not self.running:
            self._busy_since = now
        self.buffer.extend(jobs)
        self._wake(len(jobs))
        for look in ask.looks:
            if not look.done():
                look.set_result(len(jobs))
        if len(jobs) < ask.wanted:
            if not swept:
                self._sweep_at = now  # look behind the cursor before believing that nothing is left
            elif not self._looks:  # else stay open: this claim is older than the wish to look again
                self.open = False
                self.went_dry.set()

    def unask(self, ask: Ask) -> None:
        """An ask failed: no jobs will come by it."""
        self._asked -= ask.wanted
        self._looks += ask.looks
        if ask.looks:
            self.open = True
        if ask.swept:
            self._sweep_at = 0.0

    def look(self) -> asyncio.Future[int]:
        """Ask again, from the start. The future has the number of jobs that a claim begun after now found."""
        future = asyncio.get_running_loop().create_future()
        self._looks.append(future)
        self.open = True
        self.went_dry.clear()
        self._sweep_at = 0.0
        return future

    # What slots take and tell

    async def job_waits(self) -> None:
        """Lets the event loop go round, then waits until there is a job to take."""
        await asyncio.sleep(0)
        while not self.buffer:
            waiting = asyncio.get_running_loop().create_future()
            self._waiting.append(waiting)
            await waiting

    def take(self) -> ClaimedJob:
        """The next job to run; it counts as running."""
        self.running += 1
        self._taken += 1
        if self._per_slot > 1:  # fewer are asked for if what comes is no batch
            self._per_slot += (1 - self._per_slot) / 20
        return self.buffer.popleft()

    def take_alike(self, alike: Callable[[ClaimedJob], bool], batch: int) -> list[ClaimedJob]:
        """Those that wait and run together with the job that was just taken. batch: how many run at once, with it."""
        self._per_slot = float(batch)
        taken: list[ClaimedJob] = []
        left: list[ClaimedJob] = []
        while self.buffer and len(taken) < batch - 1:
            job = self.buffer.popleft()
            (taken if alike(job) else left).append(job)
        self.buffer.extendleft(reversed(left))
        self._taken += len(taken)
        return taken

    def stalled(self) -> bool:
        """Whether jobs wait here and none was taken since this was last asked: all slots have long ones."""
        taken, self._taken_before = self._taken - self._taken_before, self._taken
        return not taken and bool(self.buffer)

    def finished(self, duration: float, now: float) -> None:
        """A job ended after `duration` seconds; its slot is free."""
        self.running -= 1
        self._finished += 1
        self._mean += (duration - self._mean) * 0.05
        if not self.buffer and not self.running:
            self._busy += now - self._busy_since

    def _wake(self, count: int) -> None:
        while count and self._waiting:
            waiting = self._waiting.popleft()
            if not waiting.done():
                waiting.set_result(None)
                count -= 1

    def _prefetch(self, now: float) -> int:
        """Jobs beyond the free slots that will start within the horizon, by the rate at which jobs finish.

        The rate is that of the time in which there were jobs: counted over all time, a queue that waited for its
        jobs would look slow, be given fewer, and wait again.
        """
        busy = self._busy
        if self.buffer or self.running:
            busy += now - self._busy_since
        if self._finished and busy > 0:
            rate = self._finished / busy
            self._rate += (rate - self._rate) * min(1.0, self._finished / 500)
            self._finished, self._busy, self._busy_since = 0, 0.0, now
        elif busy > HORIZON:  # long jobs have all slots: nothing will start soon
            self._rate = 0.0
        return int(self._rate * HORIZON) if self._mean < HORIZON else 0
