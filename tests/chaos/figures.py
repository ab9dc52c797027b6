"""What a chaos amounted to, as numbers: for docs/reliability.md, from the ledger and the record alone."""

from __future__ import annotations

import statistics
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

from tests.chaos.faults import Fault
from tests.chaos.verdict import Evidence, fates_of, overlaps


def figures(evidence: Evidence, faults: Sequence[Fault], seed: str, seconds: float) -> dict[str, Any]:
    """Durations are seconds. lost, recorded_twice: must be 0."""
    fates = Counter(fates_of(evidence).values())
    outcomes = Counter(outcome.id for outcome in evidence.outcomes)
    promised = sum(batch.jobs for batch in evidence.batches if batch.id in evidence.business)
    restarts = sorted(restart_times(evidence))
    return {
        "seed": seed,
        "seconds": round(seconds),
        "faults": len(faults),
        "faults_by_kind": dict(sorted(Counter(fault.kind for fault in faults).items())),
        "batches": dict(sorted(Counter(batch.fate for batch in evidence.batches).items())),
        "jobs": promised,
        "lost": promised - len(outcomes),
        "recorded_twice": sum(count > 1 for count in outcomes.values()),
        "transactional": len(evidence.effects),
        "outcomes": dict(sorted(Counter(outcome.state for outcome in evidence.outcomes).items())),
        "runs": len(evidence.runs),
        "runs_by_fate": dict(sorted(fates.items())),
        "jobs_rerun_after_a_fault": len(
            {run.job for run, fate in fates_of(evidence).items() if fate not in ("completed", "failed")}
        ),
        "overlapping_runs": sum(1 for _ in overlaps(evidence)),
        "cut_off_by_sigkill": len(restarts),
        "restart_after_sigkill_p50": _quantile(restarts, 0.50),
        "restart_after_sigkill_p99": _quantile(restarts, 0.99),
    }


def restart_times(evidence: Evidence) -> list[float]:
    """For each run that a SIGKILL cut off at its first attempt: seconds until the job started again.

    Later attempts wait for their backoff first, so they would tell of that. So would a job that had started again
    before its first run was killed."""
    starts: dict[int, list[float]] = defaultdict(list)
    for run in evidence.runs:
        starts[run.job].append(run.began)
    kills = {life.pid: life.kill_at for life in evidence.lives if life.kill_at is not None and life.stop_at is None}
    return [
        next_start - kills[run.pid]
        for run in evidence.runs
        if run.ended is None and run.attempt == 1 and run.pid in kills and run.began < kills[run.pid]
        if (after := [began for began in starts[run.job] if began > run.began])
        if (next_start := min(after)) > kills[run.pid]
    ]


def _quantile(values: Sequence[float], share: float) -> float | None:
    if len(values) < 2:
        return round(values[0], 2) if values else None
    return round(statistics.quantiles(values, n=100, method="inclusive")[round(share * 100) - 1], 2)


def line(told: dict[str, Any]) -> str:
    """The gist, for the terminal."""
    return (
        f"{told['faults']} faults in {told['seconds']} s, {told['jobs']} jobs: {told['lost']} lost, "
        f"{told['recorded_twice']} recorded twice, {told['jobs_rerun_after_a_fault']} run again after a fault; "
        f"from SIGKILL to the next start {told['restart_after_sigkill_p50']} s (p50), "
        f"{told['restart_after_sigkill_p99']} s (p99)"
    )
