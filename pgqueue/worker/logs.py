"""What a worker writes to its log: one line an event, as text or JSON, with the job's fields on each.

Every failure has a line. So has every completed job, up to a number a second; beyond it they are counted, so that a
queue of fast jobs neither drowns its reader nor slows down for its log. Level DEBUG writes them all.
"""

from __future__ import annotations

import functools
import json
import logging
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final, Literal

from pgqueue.calls import ClaimedJob
from pgqueue.errors import ConfigurationError
from pgqueue.teller import JobLogger, Teller
from pgqueue.worker.batching import Face
from pgqueue.worker.hiding import hiding
from pgqueue.worker.outcomes import Cancelled, Completed, Failed, Outcome, Snoozed, Unknown

LINES_PER_SECOND: Final = 100

log = logging.getLogger("pgqueue.worker")
job_log = logging.getLogger("pgqueue.job")


def setup(format: Literal["text", "json"] = "text", level: str = "info") -> None:
    """Sends the log to stderr, one line a record. Raises `ConfigurationError` for an unknown format or level."""
    formatters = {"text": TextFormatter, "json": JsonFormatter}
    if format not in formatters:
        raise ConfigurationError(f"log format {format!r} is unknown; use text or json")
    number = logging.getLevelNamesMapping().get(level.upper())
    if number is None:
        raise ConfigurationError(f"log level {level!r} is unknown; use debug, info, warning or error")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatters[format]())
    logging.basicConfig(level=number, handlers=[handler], force=True)
    # Alembic tells how it works, in a dozen lines; what it did has a line of ours.
    logging.getLogger("alembic").setLevel(max(number, logging.WARNING))


def fields(**values: Any) -> dict[str, Any]:
    """`extra=` for a log call: what its line carries beside the message."""
    return {"fields": values}


class TextFormatter(logging.Formatter):
    """2026-01-31 12:00:00.000Z WARNING job failed id=42 kind=charge …"""

    def format(self, record: logging.LogRecord) -> str:
        parts = [f"{_time(record)} {record.levelname:<7} {record.getMessage()}"]
        parts += [f"{name}={_word(value)}" for name, value in _fields(record).items()]
        line = " ".join(parts)
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class JsonFormatter(logging.Formatter):
    """{"time": "2026-01-31T12:00:00.000Z", "level": "warning", "event": "job failed", "id": 42, …}"""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": _time(record).replace(" ", "T"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
            **_fields(record),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str, ensure_ascii=False)


class JobLog:
    """Lines about jobs.

    worker:  the name they carry.
    teller:  makes the place for what a job says of itself.
    """

    def __init__(self, worker: str, teller: Callable[[ClaimedJob], Teller]) -> None:
        self.worker = worker
        self._teller = teller
        self._lines = 0
        self._quiet = 0
        self._unknown: set[str] = set()
        self._enabled = job_log.isEnabledFor(logging.INFO)
        self._limit = sys.maxsize if job_log.isEnabledFor(logging.DEBUG) else LINES_PER_SECOND

    def ended(self, outcome: Outcome, duration: float) -> None:
        """What became of an attempt. duration: seconds the handler ran."""
        match outcome:
            case Completed():
                self.completed(outcome.job, duration)
            case Failed():
                self.failed(outcome, duration)
            case Snoozed(job, delay, reason):
                about = self._about(job, duration=round(duration, 6), delay=delay.total_seconds(), reason=reason)
                job_log.info("job snoozed", extra=about)
            case Cancelled(job, why):
                job_log.info("job cancelled", extra=self._about(job, duration=round(duration, 6), reason=why))
            case Unknown(job):
                self._unknown_kind(job)

    def completed(self, job: ClaimedJob, duration: float) -> None:
        """duration: seconds the handler ran."""
        if not self._enabled:
            return
        if self._lines < self._limit:
            self._lines += 1
            job_log.info("job completed", extra=self._about(job, duration=round(duration, 6)))
        else:
            self._quiet += 1

    def failed(self, outcome: Failed, duration: float) -> None:
        """A failed attempt; whether another follows is told too."""
        job, pause = outcome.job, outcome.retry_in
        about = self._about(job, duration=round(duration, 6), error=outcome.error)
        if pause is not None and job.attempt < job.max_attempts:
            about["fields"]["retry_in"] = round(pause.total_seconds(), 3)
            job_log.warning("job failed, will be retried", extra=about)
        else:
            job_log.error("job failed for good", extra=about)
        if outcome.traceback:
            job_log.debug("%s", outcome.traceback, extra=fields(id=job.id))

    def _unknown_kind(self, job: ClaimedJob) -> None:
        """A line for each kind and none for each job: there may be thousands, again and again."""
        level = logging.DEBUG if job.kind in self._unknown else logging.WARNING
        self._unknown.add(job.kind)
        job_log.log(level, "no handler is registered for this kind: its jobs wait for one", extra=self._about(job))

    def lost(self, ids: list[int]) -> None:
        """Outcomes that were not recorded: somebody else holds the job now, or it was recorded before."""
        for id in ids:
            job_log.warning(
                "outcome not recorded: the claim on the job was lost", extra=fields(id=id, worker=self.worker)
            )

    def tick(self) -> None:
        """Once a second: says how many completed jobs had no line of their own."""
        if self._quiet:
            job_log.info("%d more jobs completed", self._quiet, extra=fields(worker=self.worker))
        self._lines = self._quiet = 0

    def of(self, job: ClaimedJob) -> JobLogger:
        """The logger for a handler's own lines."""
        about = {"id": job.id, "kind": job.kind, "attempt": job.attempt}
        kept_with = job.jobs[0] if isinstance(job, Face) else job  # what a batch says belongs to its first job's claim
        return JobLogger(job_log, about, functools.partial(self._teller, kept_with), functools.partial(hiding, job))

    def _about(self, job: ClaimedJob, **more: Any) -> dict[str, dict[str, Any]]:
        return fields(id=job.id, kind=job.kind, queue=job.queue, attempt=job.attempt, worker=self.worker, **more)


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    found: dict[str, Any] = getattr(record, "fields", {})
    return found


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3] + "Z"


def _word(value: Any) -> str:
    text = str(value)
    return json.dumps(text, ensure_ascii=False) if not text or any(c in text for c in ' "=\n\r\t') else text
