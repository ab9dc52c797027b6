"""A real Postgres for every test that asks for one.

    dsn          URL of a database with pgqueue's schema in it, new or as new
    db           psycopg connection to it, autocommit
    sessions     first, second = sessions(2): more of them, to the same database
    elsewhere    psycopg connection to another such database of the same server, autocommit
    adb          psycopg async connection to it, autocommit
    empty_dsn    URL of a fresh database without the schema

`servers` says where the server comes from, `databases` and `recycling` how a database per test stays cheap.
"""

import contextlib
import os
import secrets
from collections.abc import AsyncIterator, Callable, Iterator

import psycopg
import pytest
from hypothesis import HealthCheck, settings

from tests import servers
from tests.databases import Databases, with_database
from tests.registry import own_registry

__all__ = ["own_registry"]

SESSION = pytest.StashKey[dict[str, str]]()

# Hypothesis takes the same examples each time: a run that fails says something of the change, not of chance. Nor does
# it look at the clock, as the machine may be busy. To look for new examples: --hypothesis-profile=new
settings.register_profile("same", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("new", settings.get_profile("same"), derandomize=False, print_blob=True)
settings.load_profile("same")


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Start the server in the first process; xdist's workers are told where it is."""
    config = session.config
    if hasattr(config, "workerinput"):
        config.stash[SESSION] = config.workerinput["pgqueue"]
        return
    if config.option.collectonly:
        return
    cleanup = contextlib.ExitStack()
    config.add_cleanup(cleanup.close)  # also runs if the session is interrupted
    try:
        server = servers.start(cleanup)
    except servers.NoServer as reason:
        pytest.exit(str(reason), returncode=pytest.ExitCode.USAGE_ERROR)
    prefix = f"pgqueue_test_{secrets.token_hex(4)}"
    cleanup.callback(_clear, server, prefix)
    config.stash[SESSION] = {"dsn": server.dsn, "prefix": prefix, "story": server.story}


def _clear(server: servers.Server, prefix: str) -> None:
    """Leave nothing on a server that outlives the session."""
    if server.road == "dsn":
        databases = Databases(server.dsn, prefix)
        databases.drop_all()
        databases.close()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int | None:
    """Of -n auto: half as many again as there are processors, as tests spend half of their time waiting for a server, a
    process or a timer. Not more than the connections of one server are enough for. None: as the environment says."""
    if "PYTEST_XDIST_AUTO_NUM_WORKERS" in os.environ:
        return None
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(count + (count + 1) // 2, 12)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: object) -> None:
    """A worker of xdist is about to start: its input travels with it."""
    node.workerinput["pgqueue"] = node.config.stash.get(SESSION, {})  # type: ignore[attr-defined]


def pytest_report_header(config: pytest.Config) -> list[str]:
    return _told(config)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if terminalreporter.config.get_verbosity() < 0:  # with -q there was no header
        for line in _told(terminalreporter.config):
            terminalreporter.write_line(line)


def _told(config: pytest.Config) -> list[str]:
    session = config.stash.get(SESSION, {})
    return [f"postgres: {session['story']}"] if "story" in session else []


@pytest.fixture(scope="session")
def databases(pytestconfig: pytest.Config) -> Iterator[Databases]:
    """The session's databases, for a test that needs more than one."""
    session = pytestconfig.stash[SESSION]
    databases = Databases(session["dsn"], session["prefix"])
    yield databases
    databases.close()


@pytest.fixture(scope="session")
def worker_name() -> str:
    """Of this process among xdist's."""
    return os.environ.get("PYTEST_XDIST_WORKER", "main")


@contextlib.contextmanager
def _database(databases: Databases, worker_name: str, *, schema: bool) -> Iterator[str]:
    name = databases.create(worker_name, schema=schema)
    try:
        yield with_database(databases.dsn, name)
    finally:
        databases.drop(name)


@pytest.fixture
def dsn(databases: Databases, worker_name: str) -> Iterator[str]:
    """URL of a database of this test alone, with the schema."""
    with _database(databases, worker_name, schema=True) as dsn:
        yield dsn


@pytest.fixture
def empty_dsn(databases: Databases, worker_name: str) -> Iterator[str]:
    """URL of a database of this test alone, with nothing in it."""
    with _database(databases, worker_name, schema=False) as dsn:
        yield dsn


@pytest.fixture
def db(dsn: str) -> Iterator[psycopg.Connection]:
    """A connection that commits by itself."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        yield connection


@pytest.fixture
def sessions(dsn: str) -> Iterator[Callable[[int], list[psycopg.Connection]]]:
    """Opens several connections to the test's database; they commit by themselves and are closed at the end."""
    with contextlib.ExitStack() as opened:

        def open_sessions(count: int) -> list[psycopg.Connection]:
            return [opened.enter_context(psycopg.connect(dsn, autocommit=True)) for _ in range(count)]

        yield open_sessions


@pytest.fixture
def elsewhere(databases: Databases, worker_name: str) -> Iterator[psycopg.Connection]:
    """A connection to another database of the same server, with the schema; it commits by itself."""
    with (
        _database(databases, worker_name, schema=True) as dsn,
        psycopg.connect(dsn, autocommit=True) as connection,
    ):
        yield connection


@pytest.fixture
async def adb(dsn: str) -> AsyncIterator[psycopg.AsyncConnection]:
    """An async connection that commits by itself."""
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
        yield connection
