"""What running jobs say of themselves, ctx.progress(…) and ctx.log(…), on its way to the database.

Half a second may pass before it is seen: then a lane takes all of it along, for all jobs of the worker in one round
trip. What a job said last goes before its outcome, so it is never lost. Of the progress only the latest is kept; of
lines only so many a second, and the rest is counted. A job that says nothing costs nothing here.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Final

import psycopg

from pgqueue.calls import ClaimedJob
from pgqueue.calls.results import Line, Said, report
from pgqueue.errors import QueueError
from pgqueue.worker.link import Link
from pgqueue.worker.logs import fields, log

EVERY: Final = 0.5
"""Seconds between reports; ten times as long as a report takes, if that is longer."""
LINES_PER_SECOND: Final = 50
"""Lines a job may write a second, and how many all jobs of the worker together may."""
ALL_LINES_PER_SECOND: Final = 1_000
MOST_LINES: Final = 10_000
"""Lines an attempt may write, and how many may wait while the database is away."""
MOST_WAITING: Final = 10_000
MAX_CHARS: Final = 2_000
"""Of a line or message; the rest is cut off."""
CHUNK: Final = 1_000
"""Lines from which on a report is made in several parts."""


class Page:
    """What one attempt has said and was not yet reported. Made by `Journal.page`; used from any thread."""

    __slots__ = ("_count", "_full", "_journal", "_second", "dropped", "fraction", "job", "lines", "message", "written")

    def __init__(self, journal: Journal, job: ClaimedJob) -> None:
        self.job = job
        self.fraction: float | None = None
        self.message: str | None = None
        self.lines: list[Line] = []
        self.written = 0
        """Lines so far: the number of the last."""
        self.dropped = 0
        self._journal = journal
        self._full = False
        self._second = self._count = 0

    def progress(self, fraction: float, message: str | None) -> None:
        """How far it has come, from 0 to 1, and what it is doing."""
        told = (fraction, None if message is None else _storable(message))
        with self._journal.lock:
            if (self.fraction, self.message) != told:
                self.fraction, self.message = told
                self._journal.changed(self)

    def line(self, level: str, text: str) -> bool:
        """A line for the job's log. False when there were too many: it is dropped, and counted."""
        now = time.monotonic()
        with self._journal.lock:
            if int(now) != self._second:
                self._second, self._count = int(now), 0
            self._count += 1
            if self.written >= MOST_LINES:
                if not self._full:
                    self._full = True
                    self._append(now, "warning", f"{MOST_LINES:,} lines were written; what follows is not kept")
                    self._journal.changed(self)
                return False
            if self._count > LINES_PER_SECOND or not self._journal.has_room(now):
                self.dropped += 1
                if self.dropped == 1:
                    self._journal.changed(self)  # if only to say so
                return False
            self._append(now, level, _storable(text))
            self._journal.changed(self)
            return True

    def take(self) -> Said:
        """All that was not reported yet, for a report; with the lock."""
        if self.dropped:
            self._append(time.monotonic(), "warning", f"{self.dropped} more lines were written, too many to keep")
            self.dropped = 0
        lines, self.lines = self.lines, []
        return Said(self.job.id, self.job.claims, self.fraction, self.message, lines)

    def _append(self, now: float, level: str, text: str) -> None:
        self.written += 1
        self.lines.append(Line(self.written, now, level, text))


class Journal:
    """The pages of a worker's running jobs. poke: sends an idle lane to look whether there is something to do."""

    def __init__(self, poke: Callable[[], None]) -> None:
        self.lock = threading.Lock()
        self._poke = poke
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pages: dict[Page, None] = {}
        """Those with something to report."""
        self._ended: set[tuple[int, int]] = set()
        """Jobs of which no lane will hand in an outcome, and whose last words are here."""
        self._waiting = 0
        self._second = self._count = 0
        self._armed = False
        self._due_at = 0.0
        self._sending = asyncio.Lock()
        self._refused = False

    def __bool__(self) -> bool:
        """Whether there is something to report, or it is under way: an outcome must not overtake it."""
        return bool(self._pages) or bool(self._ended) or self._sending.locked()

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """loop: of the lanes. Call it before any job runs."""
        self._loop = loop

    def page(self, job: ClaimedJob) -> Page:
        """A page for an attempt; one attempt has one."""
        return Page(self, job)

    # With the lock, from any thread

    def changed(self, page: Page) -> None:
        """A page has something to report."""
        self._pages[page] = None
        if not self._armed and self._loop is not None:
            self._armed = True
            with contextlib.suppress(RuntimeError):  # the loop is closed: a thread has outlived its worker
                self._loop.call_soon_threadsafe(self._arm)

    def has_room(self, now: float) -> bool:
        """Whether one more line may be kept."""
        if int(now) != self._second:
            self._second, self._count = int(now), 0
        if self._count >= ALL_LINES_PER_SECOND or self._waiting >= MOST_WAITING:
            return False
        self._count += 1
        self._waiting += 1
        return True

    # In the event loop

    @property
    def urgent(self) -> bool:
        """Whether a job has ended whose last words are still here."""
        return bool(self._ended)

    @property
    def due(self) -> bool:
        """Whether a lane should go for this alone."""
        if self._sending.locked():
            return False
        return bool(self._ended) or (bool(self._pages) and time.monotonic() >= self._due_at)

    def ended(self, job: ClaimedJob) -> None:
        """A job ended, and no lane will hand in its outcome: its last words should go at once."""
        with self.lock:
            if any(page.job is job for page in self._pages):
                self._ended.add((job.id, job.claims))

    async def hand_in(self, worker: int, ended: Iterable[ClaimedJob], link: Link) -> None:
        """Reports what the ended jobs said, and if it is time what all said. What the database refuses is dropped.

        Raises `psycopg.Error` when the connection is lost; then nothing is.
        """
        tokens = {(job.id, job.claims) for job in ended} | self._ended
        if not tokens and not self.due:
            return
        async with self._sending:
            started = time.monotonic()
            everything = started >= self._due_at
            if everything:
                self._due_at = started + EVERY
            wanted = self._wanted(tokens, everything)
            while pages := self._take(wanted):
                await self._report(worker, pages, link)
            self._ended -= tokens
            if everything:
                now = time.monotonic()
                self._due_at = now + max(EVERY, 10 * (now - started))

    def _wanted(self, tokens: set[tuple[int, int]], everything: bool) -> deque[Page]:
        """The pages to report now. Those that change meanwhile wait for the next time, or there would be no end."""
        with self.lock:
            return deque(page for page in self._pages if everything or (page.job.id, page.job.claims) in tokens)

    def _take(self, wanted: deque[Page]) -> dict[Page, Said]:
        """The next part of what to report."""
        taken: dict[Page, Said] = {}
        lines = 0
        with self.lock:
            while wanted and lines < CHUNK:
                page = wanted.popleft()
                del self._pages[page]
                taken[page] = page.take()
                lines += len(taken[page].lines)
            self._waiting = max(0, self._waiting - lines)
        return taken

    async def _report(self, worker: int, pages: dict[Page, Said], link: Link) -> None:
        said = list(pages.values())
        try:
            try:
                await link.execute(report(worker, said))
            except psycopg.DataError:  # the database's encoding lacks a character
                await link.execute(report(worker, [_ascii(one) for one in said]))
            self._refused = False
        except (psycopg.Error, QueueError) as error:
            if link.connection is None or link.connection.closed:
                self._put_back(pages)
                raise
            if not self._refused:
                self._refused = True
                told = " ".join(str(error).split())
                log.warning("what jobs say could not be stored", extra=fields(jobs=len(pages), error=told))
        except BaseException:
            self._put_back(pages)
            raise

    def _put_back(self, pages: dict[Page, Said]) -> None:
        with self.lock:
            for page, said in pages.items():
                page.lines[:0] = said.lines
                self._waiting += len(said.lines)
                self.changed(page)

    def _arm(self) -> None:
        assert self._loop is not None
        self._loop.call_later(max(0.0, self._due_at - time.monotonic()), self._fire)

    def _fire(self) -> None:
        if time.monotonic() < self._due_at:  # a lane was here meanwhile
            self._arm()
            return
        with self.lock:
            self._armed = False
        self._poke()


def _storable(text: str) -> str:
    """As Postgres can hold it: without NUL and lone surrogates, and cut to a sensible length."""
    if len(text) > MAX_CHARS:
        text = f"{text[:MAX_CHARS]}… ({len(text) - MAX_CHARS:,} more characters)"
    return text.replace("\0", "\\0").encode(errors="backslashreplace").decode()


def _ascii(said: Said) -> Said:
    """For a database whose encoding lacks a character of it."""

    def plain(text: str) -> str:
        return text.encode("ascii", errors="backslashreplace").decode()

    message = None if said.message is None else plain(said.message)
    return said._replace(message=message, lines=[line._replace(text=plain(line.text)) for line in said.lines])
