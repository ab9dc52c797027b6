"""Names of jobs are known to a whole process; each test knows only those of its own module and those it defines."""

from collections.abc import Iterator

import pytest

from pgqueue.task import registry


@pytest.fixture(autouse=True)
def own_registry(request: pytest.FixtureRequest) -> Iterator[None]:
    """For all tests: tests/conftest.py imports it. As it was afterwards."""
    before = dict(registry)
    registry.clear()
    registry.update(
        {name: task for name, task in before.items() if task.where.startswith(f"{request.module.__name__}.")}
    )
    yield
    registry.clear()
    registry.update(before)
