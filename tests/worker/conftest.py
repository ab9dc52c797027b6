"""What most tests of the worker need, and those whose network breaks."""

from collections.abc import Iterator
from urllib.parse import urlsplit

import psycopg
import pytest

from pgqueue import Task, job
from pgqueue.worker import held, loop
from tests.chaos.proxy import Network
from tests.install import install_schema
from tests.worker.server import Server, own_server


@pytest.fixture
def noop() -> Task[[], [], object]:
    """A handler that does nothing."""

    @job
    async def noop() -> None:
        pass

    return noop


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that at its end spends one second on what will not end, not five."""
    monkeypatch.setattr(loop, "REPORT_PATIENCE", 1.0)
    monkeypatch.setattr(held, "CANCEL_SECONDS", 1.0)


@pytest.fixture(scope="session")
def tcp_server() -> Iterator[Server]:
    """Up, on TCP, with the schema: a network that breaks can only be put in front of such a one."""
    with own_server(tcp=True) as server:
        server.start()
        install_schema(server.dsn)
        yield server


@pytest.fixture
def tcp_dsn(tcp_server: Server) -> str:
    """Of its database, past the network. No other test's jobs and workers are in it."""
    with psycopg.connect(tcp_server.dsn) as db:
        db.execute("truncate pgqueue.job, pgqueue.job_archive, pgqueue.attempt, pgqueue.worker")
    return tcp_server.dsn


@pytest.fixture
def network(tcp_dsn: str) -> Iterator[Network]:
    """Before that server, for as many lines to it as a test wants."""
    with Network("127.0.0.1", urlsplit(tcp_dsn).port) as network:
        yield network
