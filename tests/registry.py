"""Names of jobs are known to a whole process; a test that defines some has a registry of its own."""

from collections.abc import Iterator

import pytest

from pgqueue.task import registry


@pytest.fixture(autouse=True)
def own_registry() -> Iterator[None]:
    """Empty for the test, and as it was afterwards. A conftest.py that imports it has it for all tests beside it."""
    before = dict(registry)
    registry.clear()
    yield
    registry.clear()
    registry.update(before)
