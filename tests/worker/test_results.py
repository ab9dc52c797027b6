"""Results: what a handler returns is kept with its job; what cannot be kept fails that job alone."""

import dataclasses
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from pgqueue import enqueue, enqueue_many, job
from tests.sql.verbs import row, values
from tests.worker.working import attempts, drain, states

pytestmark = pytest.mark.integration


@dataclasses.dataclass
class Receipt:
    number: int
    lines: list[str]


def deep(levels: int) -> list:
    nested: list = []
    for _ in range(levels):
        nested = [nested]
    return nested


def itself() -> list:
    circle: list = []
    circle.append(circle)
    return circle


KEPT = [
    (None, None),
    (0, 0),
    ("", ""),
    ("NaN is a word, Infinity too", "NaN is a word, Infinity too"),
    ({"a": [1, 2.5, None, True]}, {"a": [1, 2.5, None, True]}),
    (Receipt(7, ["x"]), {"number": 7, "lines": ["x"]}),
    (datetime(2026, 1, 31, tzinfo=UTC), "2026-01-31T00:00:00Z"),
    (Decimal("1.10"), "1.10"),
    ("ü€😀\\u0000", "ü€😀\\u0000"),
    (10**400, 10**400),
]
REFUSED = {
    "object": (object(), "a object cannot be stored as JSON"),
    "not a number": (float("nan"), "NaN"),
    "infinite": ({"deep": [float("-inf")]}, "Infinity"),
    "too large": ("x" * 1_100_000, "the limit is 1,048,576"),
    "NUL": ({"text": "a\0b"}, "U+0000"),
    "NUL in a key": ({"a\0b": 1}, "U+0000"),
    "lone surrogate": ("a\ud800b", "cannot be stored as JSON"),
    "bytes that are no text": (b"\xff", "cannot be stored as JSON"),
    "circle": (itself(), "cannot be stored as JSON"),
    "deep": (deep(20_000), "cannot be stored as JSON"),
    "number beyond numeric": (10**140_000, ""),
    "generator": ((i for i in [object()]), "cannot be stored as JSON"),
}


@pytest.mark.parametrize("kind", ["async", "sync"])
async def test_a_result_is_kept_with_its_job(dsn, db, kind):
    """Whoever enqueued the job can read it from the view jobs."""

    @job
    async def returns_async(number: int):
        return KEPT[number][0]

    @job
    def returns_sync(number: int):
        return KEPT[number][0]

    returns = returns_async if kind == "async" else returns_sync
    enqueue_many(db, [returns.job(number) for number in range(len(KEPT))])

    await drain(dsn)

    assert set(states(db)) == {"completed"}
    assert values(db, "select result from pgqueue.jobs order by id") == [kept for _, kept in KEPT]


async def test_a_result_that_cannot_be_kept_fails_its_job_alone_and_for_good(dsn, db):
    """To run it again would only repeat its effects. The jobs that were handed in with it are recorded."""

    @job
    async def returns(name: str):
        return REFUSED[name][0]

    @job
    async def harmless():
        return "fine"

    refused = {}
    for name in REFUSED:
        refused[name] = enqueue(db, returns.job(name)).id
        enqueue(db, harmless.job())

    await drain(dsn)

    for name, id in refused.items():
        found = row(db, "select state, error from pgqueue.jobs where id = %s", [id])
        assert found.state == "failed", name
        assert found.error.startswith("InvalidResult: "), name
        assert REFUSED[name][1] in found.error, name
        assert len(found.error) <= 2_000, name
        assert len(attempts(db, id)) == 1, name
    assert sorted(states(db)) == ["completed"] * len(REFUSED) + ["failed"] * len(REFUSED)
