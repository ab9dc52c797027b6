"""What arguments cost: making a job, and fitting what is stored to the handler, for each kind of type hint. No server.

    python benchmarks/arguments.py

Prints microseconds of processor time, the best of fifteen rounds: whatever else the machine does only makes a round
longer.
"""

from __future__ import annotations

import json
import time
import timeit
import warnings
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel

from pgqueue import Job, Secret, job

ROUNDS, CALLS = 15, 2_000


class Customer(BaseModel):
    id: int
    name: str


@job
def certain(id: int, name: str, key: UUID) -> None: ...


@job
def moment(at: datetime) -> None: ...


@job
def model(customer: Customer) -> None: ...


@job
def anything(options: dict[str, Any]) -> None: ...


@job
def secret(password: Secret[str]) -> None: ...


@job(warn_bytes=None)
def large(text: str) -> None: ...


@job(version=2, upcasters={1: lambda args: {**args, "name": "ada"}})
def versioned(id: int, name: str) -> None: ...


def best(call: Callable[[], object]) -> float:
    """Microseconds."""
    for _ in range(200):  # what is done for the first jobs of a kind only
        call()
    return min(timeit.repeat(call, timer=time.process_time, number=CALLS, repeat=ROUNDS)) / CALLS * 1e6


def main() -> None:
    warnings.simplefilter("ignore")
    customer, now, key = Customer(id=1, name="ada"), datetime.now(UTC), UUID(int=7)
    options = {f"key{n}": n for n in range(20)}
    makes: dict[str, Callable[[], Job]] = {
        "Job(kind, args), no handler": lambda: Job("noop", {"id": 1}),
        "int, str, UUID": lambda: certain.job(1, "ada", key),
        "datetime": lambda: moment.job(now),
        "a model of two fields": lambda: model.job(customer),
        "dict[str, Any] of 20": lambda: anything.job(options),
        "Secret[str]": lambda: secret.job(Secret("hunter2")),
        "version=2": lambda: versioned.job(1, "ada"),
        "a text of 100 KiB": lambda: large.job("x" * 100_000),
    }
    print(f"{'making a job':<40}{'µs':>8}")
    for name, make in makes.items():
        print(f"{name:<40}{best(make):>8.1f}")
    meta = json.dumps({"version": 2})
    stored = [one.payload for one in (certain.job(1, "ada", key), moment.job(now), model.job(customer))]
    hidden = secret.job(Secret("hunter2")).payload
    fits: dict[str, Callable[[], Any]] = {
        "int, str, UUID": lambda: certain.arguments(stored[0]),
        "datetime": lambda: moment.arguments(stored[1]),
        "a model of two fields": lambda: model.arguments(stored[2]),
        "Secret[str]": lambda: secret.arguments(hidden),
        "version=2, of version 2": lambda: versioned.arguments('{"id": 1, "name": "ada"}', meta),
        "version=2, of version 1": lambda: versioned.arguments('{"id": 1}'),
    }
    print(f"\n{'fitting stored arguments':<40}{'µs':>8}")
    for name, fit in fits.items():
        print(f"{name:<40}{best(fit):>8.1f}")


if __name__ == "__main__":
    main()
