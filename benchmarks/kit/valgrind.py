"""A throw-away Postgres under valgrind, which counts the instructions of each of its processes.

A count is the same on a busy machine as on an idle one. It is not time: waiting, caches and the kernel are not in it.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg

from pgqueue import embedded
from pgqueue.embedded import account as accounts

SETTINGS = {"autovacuum": "off", "shared_buffers": "64MB", "listen_addresses": ""}
START = 120.0
"""Seconds that it may take to start: everything takes fifty times as long."""

Connection = psycopg.Connection[tuple[object, ...]]


class Counting:
    """A server whose processes are counted. dsn: of its database `postgres`."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.dsn = f"postgresql://postgres@/postgres?host={home}"

    def instructions(self, run: Callable[[Connection], None]) -> int:
        """Of the server process of one connection from its start to its end, which does `run`."""
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            connection.prepare_threshold = 0
            connection.execute("set synchronous_commit = off")
            run(connection)
            file = self.home / f"counted.{connection.info.backend_pid}"
        return _until(lambda: _total(file))

    def each(self, step: Callable[[Connection], None], times: int) -> float:
        """Instructions of one `step`, once its statements are prepared and its plans are kept."""

        def run(connection: Connection, number: int) -> None:
            for _ in range(number):
                step(connection)

        before = 10
        few = self.instructions(lambda connection: run(connection, before))
        return (self.instructions(lambda connection: run(connection, before + times)) - few) / times


@contextlib.contextmanager
def counting(major: int | None = None) -> Iterator[Counting]:
    """The server, gone afterwards. Exits with 2 if there is no valgrind."""
    if (valgrind := shutil.which("valgrind")) is None:
        print("valgrind is not installed; on Debian and Ubuntu: apt install valgrind", file=sys.stderr)
        raise SystemExit(2)
    account = accounts.borrowed()
    binaries = accounts.within_reach(embedded.find(major), account)
    with tempfile.TemporaryDirectory(prefix="pgqueue-", dir="/tmp") as folder, (Path(folder) / "log").open("w") as log:
        home = accounts.private_folder(Path(folder), account)
        options = {"cwd": home, "stdout": log, "stderr": log, **accounts.run_as(account)}
        initdb = [binaries.folder / "initdb", "-D", home / "data", "-U", "postgres", "--auth=trust", "--no-locale"]
        subprocess.run([*initdb, "--encoding=UTF8", "--no-sync"], check=True, **options)
        command = [valgrind, "--tool=callgrind", "--trace-children=yes", f"--callgrind-out-file={home}/counted.%p"]
        command += [binaries.folder / "postgres", "-D", home / "data", "-k", home]
        command += [part for name, value in SETTINGS.items() for part in ("-c", f"{name}={value}")]
        server = subprocess.Popen(command, **options)
        try:
            running = Counting(home)
            _until(lambda: _answers(running.dsn, server))
            yield running
        finally:
            server.send_signal(signal.SIGINT)
            server.wait(START)


def _answers(dsn: str, server: subprocess.Popen[bytes]) -> bool:
    if server.poll() is not None:
        raise RuntimeError(f"valgrind ended with {server.returncode}")
    with contextlib.suppress(psycopg.OperationalError), psycopg.connect(dsn):
        return True
    return False


def _total(file: Path) -> int:
    """What valgrind has written at the end of a process; 0: not yet."""
    found = re.search(r"^(?:summary|totals): (\d+)", file.read_text(), re.MULTILINE) if file.exists() else None
    return int(found[1]) if found else 0


def _until(look: Callable[[], int]) -> int:
    """What `look` gives, once it is not 0."""
    end = time.monotonic() + START
    while not (found := look()):
        if time.monotonic() > end:
            raise RuntimeError(f"the server under valgrind did not do it within {START:.0f} s")
        time.sleep(0.05)
    return found
