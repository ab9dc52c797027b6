"""What the arguments of a job should not be: too large, or a secret that nobody has marked as one.

The first hundred jobs of each kind that a process makes are looked through; then the kind is taken to be known, and a
job costs no more than to find that out. Sizes are watched always.
"""

from __future__ import annotations

import logging
import re
import sys
import warnings
from collections.abc import Iterator, Mapping
from typing import Any, Final

from pgqueue.errors import InvalidJob
from pgqueue.redaction import hides
from pgqueue.secret import Secret, SecretWarning, is_hidden

LOOKS: Final = 100
"""Jobs of a kind that are searched for secrets."""
LONGEST_LOOK: Final = 65_536
"""Bytes. The arguments of a larger job are not searched."""
WARN_BYTES: Final = 65_536
MAX_BYTES: Final = 1_048_576
MOST_KINDS: Final = 10_000
"""Kinds that are watched: whoever makes names up must not fill the memory."""

_TOKENS: Final = {
    "a JSON Web Token": r"\beyJ[\w-]{10,}\.eyJ[\w-]{10,}\.",
    "an AWS access key": r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b",
    "a Stripe key": r"\b[rs]k_live_[0-9A-Za-z]{16,}",
    "a GitHub token": r"\b(?:gh[oprsu]_[0-9A-Za-z]{36}|github_pat_\w{22,})",
    "a Slack token": r"\bxox[abeoprs]-[\w-]{10,}",
    "a Google API key": r"\bAIza[\w-]{35}",
    "an API key": r"\bsk-[\w-]{20,}",
    "a private key": r"-----BEGIN [A-Z ]*PRIVATE KEY-----",
    "a URL with a password": r"://[^\s/:@]*:[^\s/:@]+@",
    "an Authorization header": r"\A(?:Basic|Bearer) [\w+/=.~-]{8,}\Z",
}
_TOKEN: Final = re.compile("|".join(f"({pattern})" for pattern in _TOKENS.values()))

log = logging.getLogger("pgqueue.enqueue")


class Watch:
    """What is known of the jobs of one kind.

    warn_bytes:  size of arguments that is told once, in the log; None for never.
    max_bytes:   size that is refused.
    """

    __slots__ = ("few", "looks", "max_bytes", "told", "warn_bytes")

    def __init__(self, warn_bytes: int | None = WARN_BYTES, max_bytes: int = MAX_BYTES) -> None:
        self.warn_bytes = warn_bytes
        self.max_bytes = max_bytes
        self.few = min(max_bytes if warn_bytes is None else warn_bytes, max_bytes) // 4
        """So many characters are certainly neither too many bytes nor worth a warning."""
        self.looks = LOOKS
        """Jobs that are still to be searched."""
        self.told: set[str] = set()
        """What the process was warned of."""


watches: dict[str, Watch] = {}
"""By kind. `@job` puts its own here."""


def look(kind: str, args: Mapping[str, Any], text: str) -> None:
    """Looks at a new job, if the caller has not seen that there is no need: `watches[kind].looks` and `few`.

    text: its arguments as JSON. Raises `InvalidJob` when they are too large.
    """
    watch = watches.get(kind)
    if watch is None:
        watch = Watch()
        if len(watches) < MOST_KINDS:
            watches[kind] = watch
    size = len(text.encode())
    if size > watch.max_bytes:
        raise InvalidJob(
            f"args of {kind} take {size:,} bytes; the limit is {watch.max_bytes:,}: store the data elsewhere and pass "
            f"its key"
        )
    if watch.warn_bytes is not None and size > watch.warn_bytes and "size" not in watch.told:
        watch.told.add("size")
        log.warning(
            "args of %s take %s bytes, more than %s; they are written several times: store the data elsewhere and pass "
            "its key, or raise warn_bytes= of the handler",
            kind,
            f"{size:,}",
            f"{watch.warn_bytes:,}",
        )
    if watch.looks:
        watch.looks -= 1
        if size <= LONGEST_LOOK:
            for name, why in _suspects(args):
                if name not in watch.told:
                    watch.told.add(name)
                    _warn(kind, name, why)


def _suspects(args: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Where a secret may stand that is no `Secret`, and why it is taken for one."""
    waiting: list[tuple[str, Any]] = list(args.items())  # no recursion: arguments may be thousands of levels deep
    for path, value in waiting:
        if isinstance(value, Secret) or is_hidden(value) or value == "":
            continue
        if hides(path.rpartition(".")[2], value):
            yield path, "goes by the name of a secret"
        elif isinstance(value, str):
            if found := _TOKEN.search(value):
                yield path, f"looks like {list(_TOKENS)[(found.lastindex or 1) - 1]}"
        elif isinstance(value, Mapping):
            waiting += [(f"{path}.{name}"[:200], one) for name, one in value.items()]
        elif isinstance(value, list | tuple):
            waiting += [(path, one) for one in value]


def _warn(kind: str, name: str, why: str) -> None:
    """At the line of the application that made the job."""
    level, frame = 2, sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("pgqueue."):
        level, frame = level + 1, frame.f_back
    warnings.warn(
        f"argument {name} of {kind} {why} and is no Secret, so a handler's log may show it; declare it Secret[str] and "
        f"give Secret(…), or pass the key under which it is kept",
        SecretWarning,
        stacklevel=level,
    )
