"""Handlers of one test are unknown to the next, so each may call its own what it likes."""

from collections.abc import Iterator

import pytest

from pgqueue import Task, job
from pgqueue.task import registry


@pytest.fixture(autouse=True)
def no_other_handlers() -> Iterator[None]:
    before = dict(registry)
    yield
    registry.clear()
    registry.update(before)


@pytest.fixture
def noop() -> Task[[], [], object]:
    """A handler that does nothing."""

    @job
    async def noop() -> None:
        pass

    return noop
