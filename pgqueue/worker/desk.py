"""Where lanes and slots meet: slots put outcomes down, lanes take them up and bring new jobs.

A lane with nothing to do waits here; the first outcome or free slot sends it off, and it takes along all there is by
then. So batches grow with load and vanish without it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Container, Iterable, Sequence

from pgqueue.calls import ClaimedJob
from pgqueue.worker.journal import Journal
from pgqueue.worker.load import Load
from pgqueue.worker.outcomes import Completed, Lost, Outcome, Recorded, Released
from pgqueue.worker.station import MOST, Station


class Desk:
    """Shared by all lanes and slots of a worker. Touched by the event loop only."""

    def __init__(self, stations: Iterable[Station]) -> None:
        self.worker = 0
        """This worker's id; 0 before it is registered, and lanes wait."""
        self.stations = {station.queue: station for station in stations}
        self.closing = False
        """Whether jobs that still come are given back at once."""
        self.claimable: int | None = None
        """Jobs that may still be claimed, ever; None for no limit."""
        self.journal = Journal(self.poke)
        self._completed: list[ClaimedJob] = []
        self._results: list[Completed] = []
        self._others: list[Outcome] = []
        self._idle: list[asyncio.Future[bool]] = []
        self._held: dict[int, ClaimedJob] = {}
        self._under_way = 0
        self._closed = asyncio.Lock()
        self._changed: list[asyncio.Future[None]] = []

    # Slots

    def completed(self, job: ClaimedJob) -> None:
        """Puts down a job that is done and returned nothing. Reported by the next free lane."""
        self._completed.append(job)
        if self._idle:
            self.poke()

    def put(self, outcome: Outcome) -> None:
        """Puts down what became of a job, whatever it is. Reported by the next free lane."""
        match outcome:
            case Completed():
                self._results.append(outcome)
            case Recorded():
                self._let_go([outcome.job])
                self.journal.ended(outcome.job)
                self._notice()
            case Lost():
                self._notice()
            case _:
                self._others.append(outcome)
        if self._idle:
            self.poke()

    def poke(self) -> None:
        """Sends an idle lane to look whether there is something to do."""
        while self._idle:  # some of them waited long enough and have gone
            waiting = self._idle.pop()
            if not waiting.done():
                waiting.set_result(False)
                return

    def roll_call(self) -> None:
        """Sends all idle lanes to see whether their connections are still there: another one was lost."""
        while self._idle:
            _settle(self._idle.pop(), True)

    # Lanes

    async def take(self, patience: float) -> Load:
        """Waits until there is something to hand in or to ask for, and takes all of it. Empty after `patience` seconds
        without, and after a roll call."""
        loop = asyncio.get_running_loop()
        until = loop.time() + patience
        called = False
        while True:
            late = called or loop.time() >= until
            if self.worker and not self._closed.locked():
                load = self._load()
                if load or late:
                    self._under_way += 1
                    return load
            if late:
                until = loop.time() + patience
            waiting = loop.create_future()
            self._idle.append(waiting)
            timer = loop.call_at(until, _settle, waiting)
            try:
                called = await waiting or called
            finally:
                timer.cancel()

    def done(self, load: Load, jobs: Sequence[ClaimedJob], took: float) -> None:
        """A load was recorded and brought `jobs`. took: seconds."""
        self._under_way -= 1
        self._let_go(load.jobs)
        if load.worker != self.worker:  # declared dead meanwhile: these jobs are not ours
            jobs = ()
        if self.claimable is not None:
            self.claimable += sum(ask.wanted for ask in load.asks) - len(jobs)
        now = time.monotonic()
        jobs = self._hold(jobs)
        for ask in load.asks:
            mine = [job for job in jobs if job.queue == ask.station.queue] if len(load.asks) > 1 else jobs
            ask.station.receive(ask, mine, swept=load.swept, took=took, now=now)
        if self.closing:
            self.close()
        self._notice()
        self.poke()

    def failed(self, load: Load) -> None:
        """A load could not be recorded: its outcomes wait for the next lane."""
        self._under_way -= 1
        for ask in load.asks:
            ask.station.unask(ask)
        if self.claimable is not None:
            self.claimable += sum(ask.wanted for ask in load.asks)
        if load.worker == self.worker:
            self._completed[:0], self._results[:0], self._others[:0] = load.completed, load.results, load.others
        self._notice()
        self.poke()

    async def reconcile(self, tell: Callable[[int, Sequence[ClaimedJob]], Awaitable[None]]) -> None:
        """Awaits `tell(worker, held jobs)` while no exchange is under way, so that what it says is whole."""
        async with self._closed:
            while self._under_way:
                await self._change()
            if self.worker:
                await tell(self.worker, list(self._held.values()))
        self.poke()

    # The worker

    def give_back_stalled(self) -> None:
        """Gives back what was prefetched behind jobs that run longer than those before them. Call it every second:
        another worker may have a slot."""
        for station in self.stations.values():
            if station.stalled():
                self._give_back(station)

    def withdraw(self, id: int, claims: int) -> None:
        """Gives back a job that waits for a slot, if that claim is here."""
        for station in self.stations.values():
            for job in station.buffer:
                if (job.id, job.claims) == (id, claims):
                    station.buffer.remove(job)
                    self.put(Released(job))
                    return

    def drop(self, lost: Container[tuple[int, int]]) -> None:
        """Forgets jobs whose claims are others' now; what runs of them is for the caller to stop.

        lost:  id and claims.
        """
        for station in self.stations.values():
            kept = [job for job in station.buffer if (job.id, job.claims) not in lost]
            station.buffer.clear()
            station.buffer.extend(kept)
        for job in list(self._held.values()):
            if (job.id, job.claims) in lost:
                del self._held[job.id]
        self._notice()

    def close(self) -> None:
        """Asks for nothing more and gives back what has not started."""
        self.closing = True
        for station in self.stations.values():
            station.open = False
            self._give_back(station)

    def forget(self, worker: int) -> None:
        """This worker was declared dead and goes on under a new id: nothing it held is its own any more."""
        self.worker = worker
        self._held.clear()
        self._completed.clear()
        self._results.clear()
        self._others.clear()
        for station in self.stations.values():
            station.buffer.clear()
        self.poke()
        self._notice()

    @property
    def running(self) -> int:
        """Jobs in slots now."""
        return sum(station.running for station in self.stations.values())

    @property
    def quiet(self) -> bool:
        """Whether nothing runs, waits for a slot, waits to be reported, or is under way."""
        stations = self.stations.values()
        return not (
            self._under_way
            or self._completed
            or self._results
            or self._others
            or self.journal.urgent
            or any(station.running or station.buffer for station in stations)
        )

    async def until(self, condition: Callable[[], bool]) -> None:
        """Waits until `condition()`, asked whenever something was handed in or brought."""
        while not condition():
            await self._change()

    def _load(self) -> Load:
        load = Load(self.worker, self._completed, self._results, self._others)
        self._completed, self._results, self._others = [], [], []
        load.journal = self.journal.due
        if self.closing:  # whatever a bell may want to look at
            return load
        now = time.monotonic()
        for station in self.stations.values():
            ask = station.ask(now, MOST if self.claimable is None else self.claimable)
            if ask is not None:
                load.asks.append(ask)
                if self.claimable is not None:
                    self.claimable -= ask.wanted
        return load

    def _hold(self, jobs: Sequence[ClaimedJob]) -> Sequence[ClaimedJob]:
        """Notes that this worker holds these jobs; gives those that are new to it.

        One that it held before, under the same claim, was given out again by a server that crashed and forgot the
        claim, which commits asynchronously. The attempt that runs here stands.
        """
        held, brought = self._held, {job.id: job for job in jobs}
        new = jobs
        if not held.keys().isdisjoint(brought):
            new = [job for job in jobs if job.id not in held or held[job.id].claims != job.claims]
        held.update(brought)
        return new

    def _let_go(self, jobs: list[ClaimedJob]) -> None:
        """Forgets jobs whose outcome is on record."""
        held = self._held
        mine = [held.pop(job.id, job) for job in jobs]
        if mine != jobs:  # another lane has claimed some of them again
            told = {(job.id, job.claims) for job in jobs}
            held.update((new.id, new) for new in mine if (new.id, new.claims) not in told)

    def _give_back(self, station: Station) -> None:
        while station.buffer:
            self.put(Released(station.buffer.popleft()))

    async def _change(self) -> None:
        waiting = asyncio.get_running_loop().create_future()
        self._changed.append(waiting)
        await waiting

    def _notice(self) -> None:
        for waiting in self._changed:
            if not waiting.done():
                waiting.set_result(None)
        self._changed.clear()


def _settle(waiting: asyncio.Future[bool], called: bool = False) -> None:
    if not waiting.done():
        waiting.set_result(called)
