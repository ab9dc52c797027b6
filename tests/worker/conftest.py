"""What most tests of the worker need."""

import pytest

from pgqueue import Task, job


@pytest.fixture
def noop() -> Task[[], [], object]:
    """A handler that does nothing."""

    @job
    async def noop() -> None:
        pass

    return noop
