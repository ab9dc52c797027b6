"""Keeps the secrets of a job out of what is written about it.

An exception tells what it was given: `login failed for ada:hunter2`. Before such a text is logged or stored, each
secret among the job's arguments is taken out: what is in a `Secret`, and what goes by a name of one. Only jobs that did
not succeed, or said something, pay for it.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Set
from typing import Any, TypeVar, cast

from pgqueue.calls import ClaimedJob
from pgqueue.redaction import SHORTEST, scrub, secrets
from pgqueue.secret import HIDDEN
from pgqueue.task import registry
from pgqueue.worker.batching import Face
from pgqueue.worker.outcomes import Outcome

AnOutcome = TypeVar("AnOutcome", bound=Outcome)

TEXTS = ("error", "traceback", "reason")
"""Fields of outcomes that hold what an application has said."""


def hidden(outcome: AnOutcome) -> AnOutcome:
    """The same outcome, its texts with *** in place of each secret of its job."""
    return _cleaned(outcome, secrets_of(outcome.job)) if _texts(outcome) else outcome


def hidden_together(outcomes: list[Outcome]) -> list[Outcome]:
    """The same for jobs that ran together: what is said of one may hold a secret of another."""
    if not any(_texts(outcome) for outcome in outcomes):
        return outcomes
    found: set[str] = set().union(*(secrets_of(outcome.job) for outcome in outcomes))
    return [_cleaned(outcome, found) for outcome in outcomes]


def hiding(job: ClaimedJob) -> Callable[[str], str] | None:
    """What takes the job's secrets out of a text, and those of all jobs of its batch; None for a job without."""
    jobs = job.jobs if isinstance(job, Face) else (job,)
    found: set[str] = set().union(*(secrets_of(one) for one in jobs))
    return functools.partial(clean, found=found) if found else None


def _texts(outcome: Outcome) -> dict[str, str]:
    return {name: text for name in TEXTS if isinstance(text := getattr(outcome, name, None), str)}


def _cleaned(outcome: AnOutcome, found: Set[str]) -> AnOutcome:
    texts = _texts(outcome)
    if not (texts and found):
        return outcome
    cleaned: Any = outcome
    return cast("AnOutcome", cleaned._replace(**{name: clean(text, found) for name, text in texts.items()}))


def secrets_of(job: ClaimedJob) -> Set[str]:
    """Every secret among the job's arguments, as a text might show it."""
    found: set[str] = set()
    try:
        found.update(secrets(json.loads(job.args)))
        task = registry.get(job.kind)
        if task is not None and task.takes_secrets:  # they may stand there bare, under any name
            found.update(secrets(task.arguments(job.args, job.meta)))
    except Exception:  # arguments that nobody can read: no handler was given them
        return found
    return found


def clean(text: str, found: Set[str]) -> str:
    """The text without these secrets, also where it was cut off in the middle of one."""
    text = scrub(text, found)
    for secret in found:
        start = text.find(secret[:SHORTEST], max(0, len(text) - len(secret)))
        while start >= 0:
            if secret.startswith(text[start:]):
                text = text[:start] + HIDDEN
                break
            start = text.find(secret[:SHORTEST], start + 1)
        end = text.rfind(secret[-SHORTEST:], 0, len(secret))
        while end >= 0:
            if secret.endswith(text[: end + SHORTEST]):
                text = HIDDEN + text[end + SHORTEST :]
                break
            end = text.rfind(secret[-SHORTEST:], 0, end + SHORTEST - 1)
    return text
