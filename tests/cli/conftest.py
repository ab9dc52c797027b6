"""The real command, in this process; where signals or exit codes of a process matter, in one of its own."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import Result

from pgqueue import connections
from tests.cli.command import called

ROOT = Path(__file__).resolve().parent.parent.parent
LIBPQ = ("PGHOST", "PGPORT", "PGUSER", "PGDATABASE", "PGSERVICE", "PGQUEUE_DSN", "PGCONNECT_TIMEOUT")


@pytest.fixture
def environment(monkeypatch) -> None:
    """Nothing of this machine decides which database a command finds."""
    for name in LIBPQ:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(connections, "_speaks", set())  # a process asks once; each test is one


@pytest.fixture
def bare(environment) -> Callable[..., Result]:
    """Runs `pgqueue ARGUMENTS` with no database told."""

    return called


@pytest.fixture
def pgqueue(bare, dsn, monkeypatch) -> Callable[..., Result]:
    """Runs `pgqueue ARGUMENTS` on the test's database."""
    monkeypatch.setenv("PGQUEUE_DSN", dsn)
    return bare


@pytest.fixture
def process(environment, dsn, tmp_path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts `pgqueue ARGUMENTS` as a process in tmp_path, on the test's database. None outlives the test."""
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: object) -> subprocess.Popen[str]:
        command = [sys.executable, "-P", "-m", "pgqueue", *map(str, arguments)]  # -P: as the console script
        told = os.environ | {"PGQUEUE_DSN": dsn, "PYTHONPATH": str(ROOT)}
        pipe = subprocess.PIPE
        begun = subprocess.Popen(command, cwd=tmp_path, env=told, stdout=pipe, stderr=pipe, text=True)
        started.append(begun)
        return begun

    yield start
    for begun in started:
        begun.kill()
        begun.communicate()
