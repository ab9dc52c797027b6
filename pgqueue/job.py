"""A job before it is enqueued, and what enqueueing returns.

`Job` refuses a value that breaks a rule when it is made, so that no bad job reaches the database, where the refusal
would abort the caller's transaction. The same rules stand in `sql/functions/check_job.sql` for every other client.
"""

from __future__ import annotations

import dataclasses
import json
import re
import reprlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple, Protocol, TypedDict, Unpack, runtime_checkable

from pgqueue.errors import InvalidJob
from pgqueue.hygiene import MAX_BYTES, look, watches
from pgqueue.redaction import hides, redact
from pgqueue.secret import HIDDEN, plain

DEFAULT_QUEUE: Final = "default"
DEFAULT_PRIORITY: Final = 5
DEFAULT_MAX_ATTEMPTS: Final = 20
MAX_ARGS_BYTES: Final = MAX_BYTES

Seconds = float | int | timedelta
"""A length of time: seconds, or a timedelta."""

_NOT_KIND = re.compile(r"[^A-Za-z0-9._:-]")
_NOT_QUEUE = re.compile(r"[^A-Za-z0-9._-]")
_EARLIEST: Final = datetime(1, 1, 2, tzinfo=UTC)
_LATEST: Final = datetime(9999, 12, 30, tzinfo=UTC)
_SHORT: Final = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = 80
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
    payload: str = field(init=False, repr=False, compare=False)
    """`args` as JSON text."""

    def __post_init__(self) -> None:
        check_kind(self.kind)
        check_queue(self.queue)
        check_whole("priority", self.priority, 0, 9, "use 0 (first) to 9 (last)")
        check_whole("max_attempts", self.max_attempts, 1, 32_767, "use 1 to 32767")
        if self.run_at is not None:
            _check_run_at(self.run_at, self.delay)
        if self.delay is not None:
            seconds("delay", self.delay, zero=True)
        if self.timeout is not None:
            seconds("timeout", self.timeout)
        if self.meta is not None:
            encode(f"meta of {self.kind}", self.meta)
        payload = encode(f"args of {self.kind}", self.args)
        watch = watches.get(self.kind)
        if watch is None or watch.looks or len(payload) > watch.few:
            look(self.kind, self.args, payload)
        object.__setattr__(self, "payload", payload)

    def __repr__(self) -> str:
        """Without secrets: it ends up in logs and tracebacks."""
        told = {one.name: getattr(self, one.name) for one in dataclasses.fields(self) if one.repr}
        told["args"] = redact(self.args)
        return f"Job({', '.join(f'{name}={value!r}' for name, value in told.items())})"

    def options(self, **changes: Unpack[Options]) -> Job:
        """The same job with other options: `charge.job(42).options(priority=0, delay=60)`.

        The version of its arguments stays, whatever its new meta data.
        """
        if "meta" in changes and self.meta is not None and "version" in self.meta:
            changes["meta"] = {"version": self.meta["version"], **(changes["meta"] or {})}
        return dataclasses.replace(self, **changes)


class Enqueued(NamedTuple):
    """What `enqueue` returns for a job."""

    id: int
    """The job's number, for life."""
    created: bool
    """False when an equal job was there already and this is its id."""


def check_name(what: str, value: object, wrong: re.Pattern[str], longest: int, allowed: str) -> None:
    """Refuses a name that is empty, too long, or has a character that `wrong` matches."""
    if isinstance(value, str) and 1 <= len(value) <= longest and not wrong.search(value):
        return
    if not isinstance(value, str):
        fault = f"is a {type(value).__name__}, not a str"
    elif not value:
        fault = "is empty"
    elif len(value) > longest:
        fault = f"has {len(value)} characters"
    else:
        found = wrong.search(value)
        fault = f"has {_spell(found.group())}" if found else "is no name"
    raise InvalidJob(f"{what} {show(value)} {fault}; use 1 to {longest} {allowed}")


def check_kind(value: object) -> None:
    """Refuses what is no name of a handler."""
    check_name("job kind", value, _NOT_KIND, 255, "letters, digits, '.', '_', '-', ':'")


def check_queue(value: object) -> None:
    """Refuses what is no queue name."""
    check_name("queue name", value, _NOT_QUEUE, 63, "letters, digits, '.', '_', '-'")


def check_whole(what: str, value: object, low: int, high: int, rule: str) -> None:
    """Refuses what is no whole number from `low` to `high`."""
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise InvalidJob(f"{what} {show(value)} is out of range; {rule}")


def seconds(what: str, value: Seconds, *, zero: bool = False) -> float:
    """A length of time in seconds, to the microsecond; refuses a negative one, and zero unless `zero`."""
    length = value.total_seconds() if isinstance(value, timedelta) else value
    if (
        isinstance(length, bool)
        or not isinstance(length, float | int)
        or not 0 <= length < 1e10
        or not (round(length, 6) or zero)
    ):
        raise InvalidJob(
            f"{what} {show(value)} is no {'' if zero else 'positive '}length of time; give seconds or a timedelta"
        )
    return round(float(length), 6)


def has_nul(text: str) -> bool:
    """Whether a string in this JSON text holds U+0000, which Postgres cannot store."""
    return "\\u0000" in text and _NUL.search(text) is not None


def _check_run_at(run_at: object, delay: object) -> None:
    if not isinstance(run_at, datetime):
        raise InvalidJob(f"run_at {show(run_at)} is a {type(run_at).__name__}; give an aware datetime")
    if run_at.utcoffset() is None:
        raise InvalidJob(
            f"run_at {run_at!r} is naive, so it names no moment; give it a time zone, e.g. datetime.now(timezone.utc)"
        )
    # A day less at each end: every time zone can show it.
    if not _EARLIEST <= run_at <= _LATEST:
        raise InvalidJob(f"run_at {run_at!r} is out of range; use the years 1 to 9999")
    if delay is not None:
        raise InvalidJob(f"both run_at {run_at!r} and delay {delay!r} were given; give one")


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


def show(value: object) -> str:
    """A value for a message: short, and never an error itself, however large, deep or broken the value is."""
    try:
        return _SHORT.repr(value)
    except ValueError:  # an int of more digits than Python will print
        return f"a huge {type(value).__name__}"


def _spell(character: str) -> str:
    return "a space" if character == " " else repr(character)
