"""Databases to migrate, and what pg_dump says about them."""

import contextlib
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from pgqueue import embedded
from tests.databases import Databases, with_database

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture
def fresh(databases: Databases, worker_name: str) -> Iterator[Callable[[], str]]:
    """Makes empty databases, as many as asked for; gives the URL of each."""
    with contextlib.ExitStack() as cleanup:

        def make() -> str:
            name = databases.create(worker_name, schema=False)
            cleanup.callback(databases.drop, name)
            return with_database(databases.dsn, name)

        yield make


@pytest.fixture
def dump(databases: Databases) -> Callable[[str], str]:
    """What pg_dump says about a database: equal texts are equal schemas and rows."""
    program = _program(databases.dsn, "pg_dump")

    def run(dsn: str) -> str:
        text = subprocess.run([program, "--dbname", dsn], check=True, capture_output=True, text=True).stdout
        return re.sub(r"^\\(un)?restrict .*$", "", text, flags=re.MULTILINE)  # random, so that a dump can't be forged

    return run


@pytest.fixture
def psql(databases: Databases) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs psql on a database, reading its commands from `input`."""
    program = _program(databases.dsn, "psql")

    def run(dsn: str, *arguments: str, input: str = "") -> subprocess.CompletedProcess[str]:
        command = [program, "--no-psqlrc", "--quiet", "--dbname", dsn, *arguments]
        return subprocess.run(command, input=input, capture_output=True, text=True)

    return run


def _program(dsn: str, name: str) -> str:
    """A client program at least as new as the server: pg_dump refuses a newer one."""
    with psycopg.connect(dsn) as connection:
        server = connection.info.server_version // 10_000
    for major in range(server, server + 10):
        with contextlib.suppress(embedded.EmbeddedError):
            if (program := embedded.find(major).folder / name).exists():
                return str(program)
    pytest.skip(f"no {name} of Postgres {server} or newer on this machine")
