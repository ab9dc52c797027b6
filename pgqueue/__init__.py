"""pgqueue: the Postgres your application already has, as its job queue.

    @job(queue="billing")
    def charge_invoice(invoice_id: int) -> None: ...

    enqueue(conn, charge_invoice.job(invoice_id=42))      # in your transaction

and `pgqueue worker --app myapp.jobs --queue billing` runs it.
"""

from importlib.metadata import PackageNotFoundError, version

from pgqueue import errors
from pgqueue.backoff import Backoff, Custom, Fixed
from pgqueue.batch import Batch, Item
from pgqueue.client import cancel, enqueue, enqueue_many, retry
from pgqueue.context import JobContext
from pgqueue.control import Cancel, Discard, Retry, Snooze
from pgqueue.failure import Failure
from pgqueue.job import Enqueued, Job
from pgqueue.keys import find_unique, release_unique
from pgqueue.lifespans import lifespan
from pgqueue.middlewares import middleware
from pgqueue.queue import Queue
from pgqueue.results import AsyncResults, Handle, Results
from pgqueue.schedule import Schedule, Scheduled, cron, every
from pgqueue.scheduling import (
    pause_schedule,
    prune_schedules,
    remove_schedule,
    resume_schedule,
    run_schedule,
    schedule,
)
from pgqueue.secret import Secret, SecretWarning
from pgqueue.task import Task, job
from pgqueue.unique import Unique

try:
    __version__ = version("pgqueue-jobs")
except PackageNotFoundError:  # run from a checkout that was never installed
    __version__ = "0+unknown"

__all__ = [
    "AsyncResults",
    "Backoff",
    "Batch",
    "Cancel",
    "Custom",
    "Discard",
    "Enqueued",
    "Failure",
    "Fixed",
    "Handle",
    "Item",
    "Job",
    "JobContext",
    "Queue",
    "Results",
    "Retry",
    "Schedule",
    "Scheduled",
    "Secret",
    "SecretWarning",
    "Snooze",
    "Task",
    "Unique",
    "cancel",
    "cron",
    "enqueue",
    "enqueue_many",
    "errors",
    "every",
    "find_unique",
    "job",
    "lifespan",
    "middleware",
    "pause_schedule",
    "prune_schedules",
    "release_unique",
    "remove_schedule",
    "resume_schedule",
    "retry",
    "run_schedule",
    "schedule",
]
