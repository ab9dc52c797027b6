"""Tasks of a test are forgotten after it."""

from collections.abc import Iterator

import pytest

from pgqueue.task import registry


@pytest.fixture(autouse=True)
def own_registry() -> Iterator[None]:
    before = dict(registry)
    yield
    registry.clear()
    registry.update(before)
