"""Schedules at run time: make, change, pause, resume, run now, remove.

As in `client`, each takes the connection first, works on any kind, at once on a sync one and awaited on an async one,
and commits nothing: it holds when the caller's transaction commits.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any, TypeVar, overload

from pgqueue.calls import Call
from pgqueue.calls import schedules as calls
from pgqueue.connections import AnAsyncConnection, Script, SyncConnection, run
from pgqueue.errors import InvalidSchedule, ScheduleNotFound
from pgqueue.job import has_nul, show
from pgqueue.schedule import Schedule, Scheduled
from pgqueue.task import registry

T = TypeVar("T")


@overload
def schedule(connection: SyncConnection, schedule: Schedule, *, any_kind: bool = False) -> Scheduled: ...
@overload
def schedule(connection: AnAsyncConnection, schedule: Schedule, *, any_kind: bool = False) -> Awaitable[Scheduled]: ...
def schedule(connection: Any, schedule: Schedule, *, any_kind: bool = False) -> Scheduled | Awaitable[Scheduled]:
    """Makes the schedule of that name, or changes the one there is: never a second.

    If its time stays the same, so does its next run. A pause stays in any case.

    any_kind:  do not ask whether a running worker knows the job's kind. A handler of this process is known anyway.

    Raises `InvalidSchedule`, `InvalidJob`; otherwise as `enqueue`.
    """
    if not isinstance(schedule, Schedule):
        raise InvalidSchedule(f"{show(schedule)} is a {type(schedule).__name__}, not a Schedule")
    return run(connection, _schedule(schedule, any_kind or schedule.job.kind in registry))


@overload
def pause_schedule(connection: SyncConnection, name: str) -> None: ...
@overload
def pause_schedule(connection: AnAsyncConnection, name: str) -> Awaitable[None]: ...
def pause_schedule(connection: Any, name: str) -> Awaitable[None] | None:
    """Keeps a schedule from firing until it is resumed; a deploy does not resume it. Raises `ScheduleNotFound`."""
    return run(connection, _call(calls.pause_schedule(_known(name))))


@overload
def resume_schedule(connection: SyncConnection, name: str) -> None: ...
@overload
def resume_schedule(connection: AnAsyncConnection, name: str) -> Awaitable[None]: ...
def resume_schedule(connection: Any, name: str) -> Awaitable[None] | None:
    """Lets a schedule fire again; its rule for missed runs decides about those that passed meanwhile.

    One that rests because of an error is tried again. Raises `ScheduleNotFound`.
    """
    return run(connection, _call(calls.resume_schedule(_known(name))))


@overload
def run_schedule(connection: SyncConnection, name: str) -> int: ...
@overload
def run_schedule(connection: AnAsyncConnection, name: str) -> Awaitable[int]: ...
def run_schedule(connection: Any, name: str) -> int | Awaitable[int]:
    """Enqueues a job of the schedule now, beside its own moments; returns the job's id. Raises `ScheduleNotFound`."""
    return run(connection, _call(calls.run_schedule(_known(name))))


@overload
def remove_schedule(connection: SyncConnection, name: str) -> None: ...
@overload
def remove_schedule(connection: AnAsyncConnection, name: str) -> Awaitable[None]: ...
def remove_schedule(connection: Any, name: str) -> Awaitable[None] | None:
    """Forgets a schedule; jobs it has enqueued stay. Raises `ScheduleNotFound`.

    One that the code still declares comes back with the next worker that starts; pause it instead.
    """
    return run(connection, _call(calls.remove_schedule(_known(name))))


@overload
def prune_schedules(connection: SyncConnection) -> list[str]: ...
@overload
def prune_schedules(connection: AnAsyncConnection) -> Awaitable[list[str]]: ...
def prune_schedules(connection: Any) -> list[str] | Awaitable[list[str]]:
    """Removes schedules that came from code and are in the code of no running worker; returns their names.

    Raises `InvalidSchedule` while no worker is running.
    """
    return run(connection, _call(calls.prune_schedules()))


def _schedule(schedule: Schedule, any_kind: bool) -> Script[Scheduled]:
    now = yield calls.clock()
    made = yield calls.schedule(schedule, any_kind, schedule.first_run_at(now))
    return Scheduled(*made)


def _call(call: Call[T]) -> Script[T]:
    answer: T = yield call
    return answer


def _known(name: object) -> str:
    """A name that the database can look up; any other no schedule can have."""
    if not isinstance(name, str) or has_nul(name) or "\0" in name:
        raise ScheduleNotFound(f"schedule {show(name)} does not exist")
    return name
