"""What decorators register is known to a whole process; each test knows only what its own module and it define."""

from collections.abc import Iterator
from typing import Any

import pytest

from pgqueue.hygiene import watches
from pgqueue.lifespans import lifespans
from pgqueue.middlewares import middlewares
from pgqueue.task import registry


@pytest.fixture(autouse=True)
def own_registry(request: pytest.FixtureRequest) -> Iterator[None]:
    """For all tests: tests/conftest.py imports it. As it was afterwards."""
    registries: tuple[dict[str, Any], ...] = (registry, middlewares, lifespans)
    before, watched = [dict(each) for each in registries], dict(watches)
    watches.clear()
    for each in registries:
        for name in [name for name, made in each.items() if not made.where.startswith(f"{request.module.__name__}.")]:
            del each[name]
    yield
    for each, was in zip(registries, before, strict=True):
        each.clear()
        each.update(was)
    watches.clear()
    watches.update(watched)
