"""A job before it is enqueued, and what enqueueing returns.

`Job` refuses a value that breaks a rule when it is made, so that no bad job reaches the database, where the refusal
would abort the caller's transaction. The same rules stand in `sql/functions/check_job.sql` for every other client.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple, Protocol, TypedDict, Unpack, runtime_checkable

from pgqueue.errors import InvalidJob
from pgqueue.hygiene import MAX_BYTES, look, watches
from pgqueue.redaction import hides, redact
from pgqueue.rules import Seconds, check_kind, check_name, check_queue, check_whole, seconds, show
from pgqueue.secret import HIDDEN, plain
from pgqueue.unique import Unique, check_key

__all__ = [
    "DEFAULT_MAX_ATTEMPTS",
    "DEFAULT_PRIORITY",
    "DEFAULT_QUEUE",
    "MAX_ARGS_BYTES",
    "Enqueued",
    "Job",
    "Options",
    "RetryPolicy",
    "Seconds",
    "check_kind",
    "check_name",
    "check_queue",
    "check_whole",
    "encode",
    "has_nul",
    "seconds",
    "show",
]

DEFAULT_QUEUE: Final = "default"
DEFAULT_PRIORITY: Final = 5
DEFAULT_MAX_ATTEMPTS: Final = 20
MAX_ARGS_BYTES: Final = MAX_BYTES

_EARLIEST: Final = datetime(1, 1, 2, tzinfo=UTC)
_LATEST: Final = datetime(9999, 12, 30, tzinfo=UTC)
# With a space after ',' and ':', as Postgres prints it: the limit is on that, here and there.
_encode: Final = json.JSONEncoder(ensure_ascii=False, allow_nan=False, default=plain).encode
_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")


@runtime_checkable
class RetryPolicy(Protocol):
    """When a failed attempt is followed by the next; `pgqueue.Backoff` is one."""

    def pause(self, attempt: int) -> float:
        """Seconds between attempt number `attempt` (from 1) and the next."""


class Options(TypedDict, total=False):
    """What `Job` and `Job.options` take beside kind and args."""

    queue: str
    priority: int
    run_at: datetime | None
    delay: Seconds | None
    max_attempts: int
    timeout: Seconds | None
    meta: Mapping[str, Any] | None
    expires_at: datetime | None
    expires_in: Seconds | None
    unique: Unique | None
    unique_key: str | None


@dataclass(frozen=True, slots=True)
class Job:
    """A job to enqueue: the name of its handler and the handler's keyword arguments.

    kind:          name under which workers registered the handler; 1 to 255 letters, digits, '.', '_', '-', ':'.
    args:          keyword arguments, as JSON can hold them; at most 1 MiB as Postgres prints it, or what the handler's
                   max_bytes says. A value may be a `Secret`.
    queue:         1 to 63 letters, digits, '.', '_', '-'.
    priority:      0 (first) to 9 (last).
    run_at:        not before this moment, an aware datetime of the years 1 to 9999; None for at once.
    delay:         not before this long after it is enqueued, by the database's clock; seconds or timedelta.
    max_attempts:  the attempt after which a failure is final; 1 to 32,767.
    timeout:       longest run time of one attempt, seconds or timedelta; None: as the handler says.
    meta:          what else the handler is told (`JobContext.meta`), as JSON can hold it; None for nothing.
    expires_at:    no attempt starts after this moment, an aware datetime; None for never.
    expires_in:    the same, so long after it may start; seconds or timedelta.
    unique:        while another job holds its key, no second one is made; see `Unique`.
    unique_key:    the key itself, 1 to 1024 bytes; None: made of arguments, as `unique` says.

    Raises `InvalidJob`, naming the value and the rule. Warns with `SecretWarning` of what looks like a secret.
    """

    kind: str
    args: Mapping[str, Any] = field(default_factory=dict, hash=False)
    _: dataclasses.KW_ONLY
    queue: str = DEFAULT_QUEUE
    priority: int = DEFAULT_PRIORITY
    run_at: datetime | None = None
    delay: Seconds | None = None
    max_attempts: int = DEFAULT_MAX_ATTEMPTS
    timeout: Seconds | None = None
    meta: Mapping[str, Any] | None = field(default=None, hash=False)
    expires_at: datetime | None = None
    expires_in: Seconds | None = None
    unique: Unique | None = None
    unique_key: str | None = None
    payload: str = field(init=False, repr=False, compare=False)
    """`args` as JSON text."""

    def __post_init__(self) -> None:
        check_kind(self.kind)
        check_queue(self.queue)
        check_whole("priority", self.priority, 0, 9, "use 0 (first) to 9 (last)")
        check_whole("max_attempts", self.max_attempts, 1, 32_767, "use 1 to 32767")
        if self.run_at is not None:
            _check_moment("run_at", self.run_at, "delay", self.delay)
        if self.delay is not None:
            seconds("delay", self.delay, zero=True)
        if self.timeout is not None:
            seconds("timeout", self.timeout)
        if self.meta is not None:
            encode(f"meta of {self.kind}", self.meta)
        if self.expires_at is not None or self.expires_in is not None:
            _check_expiry(self)
        payload = encode(f"args of {self.kind}", self.args)
        watch = watches.get(self.kind)
        if watch is None or watch.looks or len(payload) > watch.few:
            look(self.kind, self.args, payload)
        object.__setattr__(self, "payload", payload)
        if self.unique is not None or self.unique_key is not None:
            check_key(self.unique, self.unique_key, self.args)

    def __repr__(self) -> str:
        """Without secrets: it ends up in logs and tracebacks."""
        told = {one.name: getattr(self, one.name) for one in dataclasses.fields(self) if one.repr}
        told["args"] = redact(self.args)
        return f"Job({', '.join(f'{name}={value!r}' for name, value in told.items())})"

    @property
    def key(self) -> tuple[str, str] | None:
        """Scope and key under which it is unique; None when it is not."""
        if self.unique is None and self.unique_key is None:
            return None
        unique = self.unique or Unique()
        return unique.scope or self.kind, self.unique_key if self.unique_key is not None else unique.key(self.args)

    def options(self, **changes: Unpack[Options]) -> Job:
        """The same job with other options: `charge.job(42).options(priority=0, delay=60)`.

        The version of its arguments stays, whatever its new meta data. A moment takes the place of a length of time
        that said the same, and the other way round: `expires_at` that of the handler's `expires_in`.

        Raises `InvalidJob`, and `TypeError` for an option that a job does not have.
        """
        if unknown := changes.keys() - Options.__annotations__.keys():
            raise TypeError(
                f"{self.kind}: a job has no option {', '.join(sorted(unknown))}; it has "
                f"{', '.join(Options.__annotations__)}. The others are the handler's, in @job(…)"
            )
        for moment, length in (("run_at", "delay"), ("expires_at", "expires_in")):
            if changes.get(moment) is not None:
                changes = {length: None, **changes}  # type: ignore[misc]
            elif changes.get(length) is not None:
                changes = {moment: None, **changes}  # type: ignore[misc]
        if "meta" in changes and self.meta is not None and "version" in self.meta:
            changes["meta"] = {"version": self.meta["version"], **(changes["meta"] or {})}
        return dataclasses.replace(self, **changes)


class Enqueued(NamedTuple):
    """What `enqueue` returns for a job."""

    id: int
    """The job's number, for life."""
    created: bool
    """False when an equal job was there already and this is its id."""


def has_nul(text: str) -> bool:
    """Whether a string in this JSON text holds U+0000, which Postgres cannot store."""
    return "\\u0000" in text and _NUL.search(text) is not None


def _check_moment(what: str, value: object, other: str, length: object) -> None:
    if not isinstance(value, datetime):
        raise InvalidJob(f"{what} {show(value)} is a {type(value).__name__}; give an aware datetime")
    if value.utcoffset() is None:
        raise InvalidJob(
            f"{what} {value!r} is naive, so it names no moment; give it a time zone, e.g. datetime.now(timezone.utc)"
        )
    # A day less at each end: every time zone can show it.
    if not _EARLIEST <= value <= _LATEST:
        raise InvalidJob(f"{what} {value!r} is out of range; use the years 1 to 9999")
    if length is not None:
        raise InvalidJob(f"both {what} {value!r} and {other} {length!r} were given; give one")


def _check_expiry(job: Job) -> None:
    if job.expires_at is not None:
        _check_moment("expires_at", job.expires_at, "expires_in", job.expires_in)
        if job.run_at is not None and job.expires_at <= job.run_at:
            raise InvalidJob(f"expires_at {job.expires_at!r} is not after run_at {job.run_at!r}: it could never start")
    if job.expires_in is not None:
        seconds("expires_in", job.expires_in)


def encode(what: str, args: object) -> str:
    """A JSON object as text that the database accepts. what: what it is, for the message. Raises `InvalidJob`."""
    if not isinstance(args, Mapping):
        raise InvalidJob(f"{what} are a {type(args).__name__}; give a dict, one key per argument")
    for key in args:
        if not isinstance(key, str):
            raise InvalidJob(f"{what} have the key {show(key)}, a {type(key).__name__}; keys are argument names, str")
    try:
        text = _encode(args if type(args) is dict else dict(args))
        size = len(text.encode())
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidJob(f"{what} are no JSON: {_culprit(args) or error}") from error
    if has_nul(text):
        raise InvalidJob(
            f"{what} are no JSON that Postgres can store: {_culprit(args) or 'a string'} holds the character U+0000"
        )
    if size > MAX_ARGS_BYTES:
        raise InvalidJob(
            f"{what} take {size:,} bytes; the limit is {MAX_ARGS_BYTES:,}: store the data elsewhere and pass its key"
        )
    return text


def _culprit(args: Mapping[str, Any]) -> str | None:
    """Which argument it is that JSON, or Postgres, cannot hold."""
    for key, value in args.items():
        shown = HIDDEN if hides(key, value) else show(redact(value))
        try:
            text = _encode({key: value})
            text.encode()
        except (TypeError, ValueError, RecursionError) as error:
            return f"{key}={shown} ({type(value).__name__}): {error}"
        if has_nul(text):
            return f"{key}={shown}"
    return None
