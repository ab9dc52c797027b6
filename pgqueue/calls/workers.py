"""What a worker calls for itself and for the fleet: its life, and the leader's duties."""

from __future__ import annotations

from datetime import datetime
from typing import Final, NamedTuple

from pgqueue.calls.call import Call, first, nothing

BEAT: Final = "pgqueue.heartbeat(%(worker)s, %(running)s, %(stopping)s)"
TAKE_UP: Final = 10_000
"""Jobs that one `take_up` makes ready at most."""


def register(name: str, host: str, pid: int, version: str, queues: str, kinds: str, direct: bool) -> Call[int]:
    """Makes a worker known; the answer is its id.

    queues:  JSON text {"queue": slots}.
    kinds:   JSON text {"kind": kind of its on_failed hook, or null}.
    direct:  whether the session is the worker's own.
    """
    sql = """select pgqueue.register(%(name)s, %(host)s, %(pid)s, %(version)s, %(queues)s::jsonb, %(kinds)s::jsonb,
        %(direct)s)"""
    params = {
        "name": name,
        "host": host,
        "pid": pid,
        "version": version,
        "queues": queues,
        "kinds": kinds,
        "direct": direct,
    }
    return Call(sql, params, first)


class Beat(NamedTuple):
    """A worker's sign of life."""

    worker: int
    running: int
    """How many jobs run."""
    stopping: bool
    """Whether it was told to stop."""


def heartbeat(beat: Beat) -> Call[None]:
    """A sign of life by itself; see `schedules.look`."""
    return Call(f"select {BEAT}", beat._asdict(), nothing)


def attach(worker: int) -> Call[bool]:
    """Takes the liveness lock on a new session; the answer is whether it was free."""
    return Call("select pgqueue.attach(%(worker)s)", {"worker": worker}, first)


def leave(worker: int) -> Call[None]:
    """Ends a worker in order."""
    return Call("select pgqueue.leave(%(worker)s)", {"worker": worker}, nothing)


def at_work(pid: int, started: datetime) -> Call[bool | None]:
    """Whether the server session still works on a statement; None when the server does not tell."""
    return Call("select pgqueue.at_work(%(pid)s::integer, %(started)s)", {"pid": pid, "started": started}, first)


def end_session(pid: int, started: datetime) -> Call[bool]:
    """Asks a lost server session to end; the answer is whether it is over."""
    return Call("select pgqueue.end_session(%(pid)s::integer, %(started)s)", {"pid": pid, "started": started}, first)


def rescue(grace: float) -> Call[list[tuple[int, int]]]:
    """Gives back the jobs of dead workers; the answer is (worker, jobs) for each death.

    grace:  seconds at most for those that have not beaten since the server started.
    """
    sql = "select r.worker, r.jobs from pgqueue.rescue(p_grace => %(grace)s * interval '1 second') r"
    return Call(sql, {"grace": grace}, lambda rows: [(row[0], row[1]) for row in rows])


def tidy() -> Call[tuple[int, int]]:
    """Ends jobs that expired and lets those start that waited for another; the answer is how many of each."""
    return Call("select pgqueue.expire(), pgqueue.follow()", {}, lambda rows: (rows[0][0], rows[0][1]))


def forget_keys(limit: int) -> Call[int]:
    """Removes unique keys that nobody holds, at most `limit`; the answer is how many."""
    return Call("select pgqueue.forget_keys(%(limit)s)", {"limit": limit}, first)


def forget_sleepers() -> Call[None]:
    """Lets producers know of which queues nobody sleeps any more."""
    return Call("select pgqueue.forget_sleepers()", {}, nothing)


def maintain() -> Call[None]:
    """Makes the archive's partitions ahead and drops what retention no longer keeps."""
    return Call("select pgqueue.maintain()", {}, nothing)


def take_up(worker: int) -> Call[int]:
    """Makes jobs ready that waited for a worker of this one's kinds; the answer is how many, to ask again while it is
    TAKE_UP."""
    return Call("select pgqueue.take_up(%(worker)s, %(limit)s)", {"worker": worker, "limit": TAKE_UP}, first)
