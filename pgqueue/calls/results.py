"""The calls about what jobs give and say, as `calls` has those about jobs themselves. On psycopg only, no I/O here."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import NamedTuple

from pgqueue.calls.call import Call, array


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


class Line(NamedTuple):
    """A line that a job wrote."""

    number: int
    """Within its attempt, from 1."""
    written_at: float
    """By `time.monotonic`."""
    level: str
    text: str


class Said(NamedTuple):
    """What a running job says of itself."""

    job: int
    claims: int
    fraction: float | None
    """How far it has come, from 0 to 1; None if it never said."""
    message: str | None
    lines: list[Line]
    """New ones."""


def report(worker: int, said: Sequence[Said]) -> Call[None]:
    """Notes what running jobs say. May be made again."""
    sql = """select pgqueue.report(%(worker)s, %(ids)s::bigint[], %(claims)s::integer[],
        %(fractions)s::double precision[], %(messages)s::text[], %(places)s::integer[], %(lines)s::integer[],
        %(ages)s::double precision[], %(levels)s::text[], %(texts)s::text[])"""
    now = time.monotonic()
    lines = [(place, line) for place, one in enumerate(said, 1) for line in one.lines]
    params = {
        "worker": worker,
        "ids": array([one.job for one in said]),
        "claims": array([one.claims for one in said]),
        "fractions": [one.fraction for one in said],
        "messages": [one.message for one in said],
        "places": array([place for place, _ in lines]),
        "lines": array([line.number for _, line in lines]),
        "ages": [now - line.written_at for _, line in lines],
        "levels": [line.level for _, line in lines],
        "texts": [line.text for _, line in lines],
    }
    return Call(sql, params, lambda rows: None)
