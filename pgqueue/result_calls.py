"""The calls of who waits for results; see `pgqueue.calls`. On psycopg only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from pgqueue.calls import Call, array


class EndedJob(NamedTuple):
    """What became of a job, as pgqueue.outcomes gives it."""

    id: int
    state: str | None
    """completed, failed, cancelled or expired; None when there is no such job."""
    result: str | None
    """JSON text; None for nothing."""
    error: str | None
    gone: bool
    """Whether it had a result, and the time for which that is kept is over."""


def outcomes(ids: Sequence[int]) -> Call[list[EndedJob]]:
    """What became of those of the jobs that have ended or do not exist."""
    sql = "select o.id, o.state, o.result::text, o.error, o.gone from pgqueue.outcomes(%(ids)s::bigint[]) o"
    return Call(sql, {"ids": array(ids)}, lambda rows: list(map(EndedJob._make, rows)))
