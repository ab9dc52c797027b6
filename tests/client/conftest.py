"""One caller of each kind; a test that asks for `caller` runs once on each."""

from collections.abc import AsyncIterator, Callable

import psycopg
import pytest

from tests.client.kinds import KINDS, Caller


@pytest.fixture(params=KINDS)
async def caller(request: pytest.FixtureRequest, dsn: str) -> AsyncIterator[Caller]:
    async with KINDS[request.param](dsn) as caller:
        yield caller


@pytest.fixture
def kinds_of_jobs(db: psycopg.Connection) -> Callable[[], list[str]]:
    """What everybody else sees of the queue: the committed jobs, in the order of their ids."""

    def look() -> list[str]:
        return [kind for (kind,) in db.execute("select j.kind from pgqueue.jobs j order by j.id")]

    return look
