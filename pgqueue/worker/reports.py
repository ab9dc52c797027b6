"""Outcomes as calls: one for each kind of outcome, whatever their number. Completed ones go with the exchange."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

from pgqueue import calls
from pgqueue.calls import Call
from pgqueue.worker.outcomes import Cancelled, Failed, Outcome, Released, Snoozed, Unknown


def reports(worker: int, outcomes: Sequence[Outcome]) -> Iterator[Call[list[int]]]:
    """The calls that record these outcomes; each answers with the ids whose claim was lost."""
    if failed := [outcome for outcome in outcomes if isinstance(outcome, Failed)]:
        yield calls.fail(
            worker,
            *_jobs(failed),
            [outcome.error for outcome in failed],
            [outcome.traceback for outcome in failed],
            [outcome.retry_in for outcome in failed],
            [outcome.fingerprint for outcome in failed],
        )
    if snoozed := [outcome for outcome in outcomes if isinstance(outcome, Snoozed)]:
        delays, reasons = [outcome.delay for outcome in snoozed], [outcome.reason for outcome in snoozed]
        yield calls.snooze(worker, *_jobs(snoozed), delays, reasons)
    if cancelled := [outcome for outcome in outcomes if isinstance(outcome, Cancelled)]:
        yield calls.abandon(worker, *_jobs(cancelled), [outcome.reason for outcome in cancelled])
    if unknown := [outcome for outcome in outcomes if isinstance(outcome, Unknown)]:
        yield calls.set_aside(worker, *_jobs(unknown))
    if released := [outcome for outcome in outcomes if isinstance(outcome, Released)]:
        # A claim that was lost is nothing to tell here: the job is not this worker's any more, as was wished.
        yield dataclasses.replace(calls.release(worker, *_jobs(released)), read=lambda rows: [])


def _jobs(outcomes: Sequence[Outcome]) -> tuple[list[int], list[int]]:
    """Their ids and claims."""
    return [outcome.job.id for outcome in outcomes], [outcome.job.claims for outcome in outcomes]
