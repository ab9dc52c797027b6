"""When a job may not be enqueued a second time, and the key that tells."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

from pgqueue.errors import InvalidJob
from pgqueue.redaction import redact
from pgqueue.rules import Seconds, check_kind, seconds, show
from pgqueue.secret import plain

OnConflict = Literal["keep", "replace", "debounce", "debounce_replace", "latest"]
Until = Literal["started", "finished"]

MAX_KEY_BYTES: Final = 1_024
LONGEST_PLAIN_KEY: Final = 200
"""Characters of a key made of arguments; of a longer one only the hash is kept."""


@dataclass(frozen=True, slots=True)
class Unique:
    """At most one job for each key; enqueueing a second one gives the id of the first.

    by:           names of the arguments that make the key; None: all of them; (): none, one job of its kind at a time.
    until:        how long a job holds its key. "started": while it waits. "finished": while it waits or runs. None:
                  finished, or with `within` neither.
    within:       it is held for so long from its enqueueing on, also when the job is done; seconds or timedelta.
    on_conflict:  what becomes of a job that holds the key and waits. "keep": nothing. "replace": it becomes the new
                  one, but for its id, queue and time. "debounce": its time becomes that of the new one.
                  "debounce_replace": both. "latest": as replace, and while the job runs one more may wait until it is
                  done.
    scope:        the name in whose bounds keys are unique, for kinds that share their keys; None: the job's kind.

    Raises `InvalidJob` for what cannot work.
    """

    by: tuple[str, ...] | None = None
    until: Until | None = None
    within: Seconds | None = None
    on_conflict: OnConflict = "keep"
    scope: str | None = None

    def __post_init__(self) -> None:
        by: Any = (self.by,) if isinstance(self.by, str) else self.by
        if by is not None:
            if not isinstance(by, tuple | list) or not all(isinstance(name, str) for name in by):
                raise InvalidJob(f"by {show(by)} is no tuple of argument names")
            object.__setattr__(self, "by", tuple(by))
        if self.until is not None and self.until not in get_args(Until):
            raise InvalidJob(f"until {show(self.until)} is unknown; use 'started' or 'finished'")
        if self.on_conflict not in get_args(OnConflict):
            raise InvalidJob(f"on_conflict {show(self.on_conflict)} is unknown; use {', '.join(get_args(OnConflict))}")
        if self.within is not None:
            seconds("within", self.within)
        if self.scope is not None:
            check_kind(self.scope, "scope")
        if self.on_conflict == "latest" and (self.until == "started" or self.within is not None):
            raise InvalidJob("on_conflict 'latest' waits for the running job to finish; leave out within, and until")

    def key(self, args: Mapping[str, Any]) -> str:
        """The key of a job with these arguments: the chosen ones as JSON; if that is long or secret, its hash."""
        chosen = dict(args) if self.by is None else {name: args[name] for name in self.by}
        text = json.dumps(chosen, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=plain)
        if len(text) <= LONGEST_PLAIN_KEY:
            shown = json.loads(text)
            if redact(shown) == shown:
                return text
        return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"

    def among(self, args: Mapping[str, Any]) -> Unique:
        """The same without the arguments that are not there: they are left to the handler's defaults."""
        if self.by is None or all(name in args for name in self.by):
            return self
        return dataclasses.replace(self, by=tuple(name for name in self.by if name in args))


def check_key(unique: object, key: object, args: Mapping[str, Any]) -> None:
    """Refuses what a job cannot be unique by."""
    if unique is not None and not isinstance(unique, Unique):
        raise InvalidJob(f"unique {show(unique)} is a {type(unique).__name__}; give a Unique(…)")
    if key is None:
        if unique is not None and unique.by is not None and (missing := [n for n in unique.by if n not in args]):
            raise InvalidJob(f"the job is unique by {', '.join(missing)}, which its arguments do not have")
        return
    if not isinstance(key, str):
        raise InvalidJob(f"unique_key {show(key)} is a {type(key).__name__}; give a str")
    size = len(key.encode(errors="replace"))
    if not 1 <= size <= MAX_KEY_BYTES:
        raise InvalidJob(
            f"unique_key {show(key)} has {size:,} bytes; use 1 to {MAX_KEY_BYTES:,}, and for what is longer its hash"
        )
    if "\x00" in key or any("\ud800" <= character <= "\udfff" for character in key):
        raise InvalidJob(f"unique_key {show(key)} has a character that Postgres cannot store")
