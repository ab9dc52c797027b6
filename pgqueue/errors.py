"""Every error pgqueue raises.

    QueueError
    ├── InvalidJob            a job breaks a rule; nothing was enqueued         (also a ValueError)   PQ001
    ├── ClaimLost             the job is not this attempt's any more; nothing was written             PQ002
    ├── JobNotFound           no job has that id                                (also a LookupError)  PQ003
    ├── WrongState            the job's state does not allow it                                       PQ004
    ├── WorkerLost            this worker was declared dead                                           PQ005
    ├── TransactionEnded      a transactional handler ended its transaction itself                    PQ006
    ├── InvalidSchedule       a schedule breaks a rule; nothing was changed     (also a ValueError)   PQ020
    ├── ScheduleNotFound      no schedule has that name                         (also a LookupError)  PQ021
    ├── InvalidReport         ctx.progress or ctx.log was given what cannot be  (also a ValueError)
    ├── UnknownKind           no handler is registered under that name          (also a LookupError)
    ├── ArgumentsTooNew       arguments are of a version that this code does not know yet
    ├── JobTimeout            an attempt ran longer than it may                 (also a TimeoutError)
    ├── ResultTimeout         a job has not ended within the time to wait       (also a TimeoutError)
    ├── ResultGone            a result was kept for a time, and that is over    (also a LookupError)
    ├── NoResult              a job that was waited for ended without a result
    │   ├── JobFailed
    │   ├── JobCancelled
    │   └── JobExpired
    ├── AttemptCancelled      an attempt was told to stop
    ├── ProcessDied           the process that ran an attempt ended under it
    ├── ErrorInProcess        a handler in a process raised what cannot be brought over
    ├── LifespanFailed        what a worker makes once could not be made
    ├── UnsupportedConnection a call was given something it cannot use          (also a TypeError)
    ├── ConfigurationError    a command or decorator was given wrong options    (also a ValueError)
    └── SchemaMismatch        the database's schema is not the one this code speaks
        ├── SchemaMissing
        ├── SchemaOutdated
        └── SchemaTooNew

Errors of SQLSTATE class PQ come from the functions under `sql/`; `from_sqlstate` turns them into these.
"""

from __future__ import annotations


class QueueError(Exception):
    """The base of all pgqueue errors."""

    sqlstate: str | None = None


class InvalidJob(QueueError, ValueError):
    """A job breaks a rule; nothing was enqueued. The message names the value and the rule."""

    sqlstate = "PQ001"


class ClaimLost(QueueError):
    """The job is not this attempt's any more: another worker has it, or it ended.

    The attempt took too long to show that its worker lives, or was cancelled. Nothing it still does for the job can be
    recorded. Let the error pass: the worker drops the attempt, and whoever has the job reports in its place.
    """

    sqlstate = "PQ002"


class JobNotFound(QueueError, LookupError):
    """No job has that id. It may have finished and been removed by retention."""

    sqlstate = "PQ003"


class WrongState(QueueError):
    """The job's state does not allow it: a finished job cannot be cancelled, a completed one not be retried."""

    sqlstate = "PQ004"


class WorkerLost(QueueError):
    """This worker was declared dead and its jobs were given to others.

    Nothing it still holds can be recorded. A worker drops it and registers again, by itself.
    """

    sqlstate = "PQ005"


class TransactionEnded(QueueError):
    """A transactional handler committed or rolled back the transaction that its worker had begun.

    What it wrote before that is not undone with the rest. The job fails for good: another attempt would do it again.
    Leave commit and rollback to the worker, and use a savepoint (`with connection.transaction()`) to undo a part.
    """

    sqlstate = "PQ006"


class InvalidSchedule(QueueError, ValueError):
    """A schedule breaks a rule; nothing was changed. The message names the value, the place in it and the rule."""

    sqlstate = "PQ020"


class ScheduleNotFound(QueueError, LookupError):
    """No schedule has that name. `pgqueue schedule list` shows those there are."""

    sqlstate = "PQ021"


class InvalidReport(QueueError, ValueError):
    """`ctx.progress` or `ctx.log` was given something that cannot be: a fraction beyond 0 to 1, a level of no name."""


class UnknownKind(QueueError, LookupError):
    """No handler is registered under a job's kind: import the module that defines it, or correct the name."""


class ArgumentsTooNew(QueueError):
    """A job's arguments are of a newer version than the handler here: a worker with newer code will run it."""


class JobTimeout(QueueError, TimeoutError):
    """An attempt ran longer than its timeout and was stopped."""


class ResultTimeout(QueueError, TimeoutError):
    """A job has not ended within the time that somebody waited for it. It goes on; wait again if you like."""


class ResultGone(QueueError, LookupError):
    """The job completed, and its result was to be read within `result_ttl`, which is over."""


class NoResult(QueueError):
    """A job that was waited for ended, but did not complete.

    id:     of the job.
    state:  failed, cancelled or expired.
    error:  its last error, or why it was cancelled; None when nobody said.
    """

    state: str

    def __init__(self, id: int, error: str | None) -> None:
        super().__init__(id, error)
        self.id = id
        self.error = error

    def __str__(self) -> str:
        return f"job {self.id} {self.state}" + (f": {self.error}" if self.error else "")


class JobFailed(NoResult):
    """A job that was waited for failed for good: it is a dead letter."""

    state = "failed"


class JobCancelled(NoResult):
    """A job that was waited for was cancelled."""

    state = "cancelled"


class JobExpired(NoResult):
    """A job that was waited for did not start in time."""

    state = "expired"


class AttemptCancelled(QueueError):
    """An attempt was asked to stop: somebody cancelled its job, or its worker ends. Nothing it returns is recorded.

    `JobContext.raise_if_cancelled` raises it, so that a handler in a thread can leave.
    """


class ProcessDied(QueueError):
    """The process that ran an attempt ended under it: killed, crashed, out of memory, or `os._exit`."""


class ErrorInProcess(QueueError):
    """A handler in a process raised an error that cannot be pickled; the message has its type and text."""


class LifespanFailed(QueueError):
    """A function under `@lifespan` failed before its yield: the worker ends without having claimed anything."""


class UnsupportedConnection(QueueError, TypeError):
    """A call was given something that is no connection it can use, or of the wrong kind for `await`."""


class ConfigurationError(QueueError, ValueError):
    """A command, decorator or constructor was given options that cannot work. The message says which."""


class SchemaMismatch(QueueError):
    """The database's schema `pgqueue` is not the one this code speaks."""


class SchemaMissing(SchemaMismatch):
    """The database has no schema `pgqueue`: run `pgqueue migrate`."""


class SchemaOutdated(SchemaMismatch):
    """The database's schema is older than this code: run `pgqueue migrate`."""


class SchemaTooNew(SchemaMismatch):
    """The database's schema is newer than this code: upgrade pgqueue here."""


_BY_SQLSTATE: dict[str, type[QueueError]] = {
    error.sqlstate: error
    for error in (
        InvalidJob,
        ClaimLost,
        JobNotFound,
        WrongState,
        WorkerLost,
        TransactionEnded,
        InvalidSchedule,
        ScheduleNotFound,
    )
    if error.sqlstate
}


def from_sqlstate(sqlstate: str | None, message: str, hint: str | None = None) -> QueueError | None:
    """The error for a SQLSTATE of class PQ, or None if it is not one of ours.

    hint: what to do, when the server said so; becomes part of the message.
    """
    error = _BY_SQLSTATE.get(sqlstate or "")
    if error is None:
        return None
    return error(f"{message}. {hint}" if hint else message)
