"""The worker's sign of life: a thread with a connection of its own.

A thread, so that a handler that blocks the event loop does not look dead. It holds the session advisory lock on the
worker's id and beats every second: a dead process loses the lock at once, a frozen one stops beating.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import psycopg

from pgqueue import calls
from pgqueue.calls import Beat, Call, schedules
from pgqueue.connections import check_revision, translate
from pgqueue.errors import InvalidJob, InvalidSchedule, QueueError, SchemaMismatch, WorkerLost
from pgqueue.schedule import Schedule
from pgqueue.task import kinds
from pgqueue.worker.alarm import Alarm
from pgqueue.worker.connection import pauses, refused
from pgqueue.worker.leader import LONGEST_PAUSE, Leader, Outage
from pgqueue.worker.link import Link
from pgqueue.worker.logs import log
from pgqueue.worker.options import WorkerOptions

TICK: Final = 1.0
"""Seconds between turns: one statement that beats and asks for the leader's duties. Schedules have a timer besides.

Who is dead is known when its lock is free and its last beat two seconds old: one to two seconds after it died, and the
leader looks within another. A worker that lives needs its lock for that second only if it lost its session: it has one
to two seconds to come back, and tries after 0.1, 0.3 and 0.7. On a machine that is overloaded beats may be late by any
time: as long as the session lasts so does the lock, and nobody looks at the beats for two minutes.
"""


class Steward(threading.Thread):
    """Registers the worker, beats for it, leads the fleet when it is its turn, and signs off.

    version:     of pgqueue, for the workers view.
    on_worker:   told, in this thread, the worker's id when it is registered, and again when it was declared dead and
                 goes on under a new one.
    on_failure:  told when it cannot go on: the schema is not the one this code speaks, the DSN is malformed, the
                 server refuses the first connection for good, or a schedule that the code declares.
    on_trouble:  told when its connection is lost.
    running:     how many jobs run now.
    long:        id and claims of those that do so for longer than an instant.
    on_cancel:   told, in this thread, of a job among them that somebody cancelled: id, claims and reason.
    schedules:   what the code declares.
    """

    def __init__(
        self,
        dsn: str,
        options: WorkerOptions,
        name: str,
        version: str,
        on_worker: Callable[[int], None],
        on_failure: Callable[[Exception], None],
        on_trouble: Callable[[], None],
        running: Callable[[], int],
        long: Callable[[], list[tuple[int, int]]],
        on_cancel: Callable[[int, int, str | None], None],
        schedules: Sequence[Schedule] = (),
    ) -> None:
        super().__init__(name="pgqueue-steward", daemon=True)
        self.link = Link("steward", dsn)
        self._options = options
        self._worker_name = name
        self._version = version
        self._on_worker = on_worker
        self._on_failure = on_failure
        self._on_trouble = on_trouble
        self._running = running
        self._schedules = schedules
        self._declared = False
        self._alarm = Alarm()
        self._long = long
        self._on_cancel = on_cancel
        self._leader = Leader()
        self._worker = 0
        self._attached = False
        self._introduced = False
        self._taking_up = False
        """Whether jobs may still wait for the kinds of this worker."""
        self._leaving = threading.Event()
        self.stopping = False
        """Whether the worker was told to stop; goes along with the beats."""

    def run(self) -> None:
        """Lives until `leave`; connects again whenever the connection is lost."""
        pause = pauses(LONGEST_PAUSE)
        outage: Outage | None = None
        while not self._leaving.is_set():
            tried_at = time.monotonic()
            try:
                with psycopg.connect(self.link.conninfo, autocommit=True) as connection:
                    self._arrive(connection)
                    self.link.trouble.ends()
                    pause = pauses(LONGEST_PAUSE)
                    if outage is not None:
                        self._leader.returned(self._goes_on(outage, tried_at), time.monotonic())
                        outage = None
                    self._serve(connection)
            except (psycopg.OperationalError, psycopg.InterfaceError, OSError) as error:
                if self.link.connection is None and refused(error):
                    self._on_failure(error)  # a slip in the DSN; had it worked before, we would wait
                    return
                outage = self._goes_on(outage, tried_at)
                self.link.trouble.begins(error)
                self._on_trouble()
                self._leaving.wait(next(pause))
            except Exception as error:
                outage = self._goes_on(outage, tried_at)
                if not self._survives(error):
                    return
                self._leaving.wait(next(pause))

    def _goes_on(self, outage: Outage | None, tried_at: float) -> Outage:
        """An outage that begins, or goes on after a try to connect that began at `tried_at`."""
        now = time.monotonic()
        if outage is None:
            return Outage(now, whole=bool(self._worker))
        outage.slowest = max(outage.slowest, now - tried_at)
        return outage

    def leave(self, patience: float) -> None:
        """Signs off, from another thread: what the worker still holds goes back. Waits `patience` seconds for it."""
        self._leaving.set()
        self._alarm.ring()
        self.join(patience)
        if not self.is_alive():
            self._alarm.close()

    def _arrive(self, connection: psycopg.Connection[Any]) -> None:
        self.link.opened(connection)
        with self.link.asking():
            self.link.met(*connection.execute(*self.link.who).fetchall()[0])
        self._leader.timetable.direct = not self.link.pooled
        check_revision(self._do(calls.schema_revision()))
        # A session that the server does not know to be lost would keep the liveness lock, and the lead.
        self.link.lost = [lost for lost in self.link.lost if not self._do(calls.end_session(*lost))]
        self._attached = False
        if self._worker:  # at once: trouble is over only when this can be written
            self._beat()
        self._introduce()

    def _beat(self) -> None:
        """A sign of life; on a new session it takes the liveness lock first, unless the old one still has it."""
        try:
            self._attach()
            self._do(calls.heartbeat(self._sign()))
        except WorkerLost:
            self._lost()

    def _attach(self) -> None:
        if not (self._attached or self.link.pooled):  # through a pooler it would stay with anybody's session
            self._attached = bool(self._do(calls.attach(self._worker)))

    def _sign(self) -> Beat:
        return Beat(self._worker, self._running(), self.stopping)

    def _introduce(self) -> None:
        """Registers the worker unless it is, and tells the server and the loop what follows from it.

        Each part is done once, whatever was lost between them: were a worker to register twice, its first row
        would be a dead one for the others to find.
        """
        if not self._worker:
            self._worker = self._register()
            self._attached, self._introduced = True, False
        if not self._introduced:
            self._do(schedules.declare(self._worker, self._schedules, self._declared))
            self._declared = True
            self._take_up()
            self._introduced = True
            self._on_worker(self._worker)

    def _register(self) -> int:
        queues, known = json.dumps(dict(self._options.queues)), json.dumps(kinds())
        where, direct = socket.gethostname(), not self.link.pooled
        call = calls.register(self._worker_name, where, os.getpid(), self._version, queues, known, direct)
        worker: int = self._do(call)
        return worker

    def _take_up(self) -> None:
        """Calls for jobs that waited for a worker of these kinds; if there are many, for the rest at the next turns."""
        self._taking_up = self._do(calls.take_up(self._worker)) == calls.TAKE_UP

    def _lost(self) -> None:
        if self._worker:
            log.warning("this worker was declared dead; it drops what it held and registers again")
            self._worker = 0

    def _serve(self, connection: psycopg.Connection[Any]) -> None:
        """Beats and leads until told to stop, then signs off."""
        if not self.link.pooled:  # through a pooler nobody would hear
            with self.link.asking():
                connection.execute(f"listen {schedules.CHANNEL}")
        timetable = self._leader.timetable
        tick_at = time.monotonic() + TICK
        while not self._leaving.is_set():
            notified = self._alarm.wait(connection, min(tick_at, timetable.next_at))
            if self._leaving.is_set():
                break
            if time.monotonic() >= tick_at:
                tick_at = time.monotonic() + TICK
                self._tick()
            elif notified:
                timetable.look(self._do)
            else:
                timetable.fire(self._do)
        self._do(calls.leave(self._worker))

    def _tick(self) -> None:
        """One turn: a sign of life, and what the leader does."""
        self._ask_for_cancels()
        try:
            self._attach()
            self._leader.tick(self._do, time.monotonic(), self._sign())
        except WorkerLost:
            self._lost()
            self._introduce()
        if self._taking_up:
            self._take_up()

    def _ask_for_cancels(self) -> None:
        """In case the notification of a cancel did not come through: asks about the jobs that run."""
        if long := self._long():
            ids, claims = zip(*long, strict=True)
            for cancelled in self._do(calls.cancel_asked(self._worker, list(ids), list(claims))):
                self._on_cancel(*cancelled)

    def _survives(self, error: Exception) -> bool:
        """Whether to try again after an error that is no lost connection."""
        if isinstance(error, SchemaMismatch | InvalidSchedule | InvalidJob | psycopg.ProgrammingError):
            self._on_failure(error)
            return False
        self.link.trouble.begins(error)
        return True

    def _do(self, call: Call[Any]) -> Any:
        connection = self.link.connection
        assert isinstance(connection, psycopg.Connection)
        try:
            with self.link.asking():
                rows = connection.execute(call.sql.encode(), call.params, prepare=True, binary=True).fetchall()
            return call.read(rows)
        except psycopg.Error as error:
            ours: QueueError | None = translate(error)
            if ours is None:
                raise
            raise ours from error
