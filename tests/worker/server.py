"""A server of the test's own, which it may stop, kill and start again."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

from pgqueue import embedded
from pgqueue.embedded import account as accounts
from pgqueue.embedded.postmaster import Postmaster
from pgqueue.embedded.recipe import Recipe
from tests.chaos.proxy import Line
from tests.servers import SETTINGS


class Server:
    """Up or down. dsn: of its one database, without the schema at first."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        self.dsn = recipe.dsn
        self.log = recipe.log
        self._pid_file = recipe.data / "postmaster.pid"
        self._postmaster = Postmaster(recipe)

    def start(self) -> None:
        self._postmaster.start()

    def stop(self, how: str = "fast") -> None:
        """how: fast, all sessions are ended in order; immediate, as if it had crashed."""
        if how == "immediate":
            os.kill(int(self._pid_file.read_text().splitlines()[0]), signal.SIGQUIT)
        self._postmaster.stop()

    def restart(self, how: str = "fast") -> None:
        self.stop(how)
        self.start()


@contextlib.contextmanager
def own_server(*, tcp: bool = False, **settings: str) -> Iterator[Server]:
    """A server that does not run yet, removed at the end.

    tcp:       on a port of 127.0.0.1; else on a Unix socket only.
    settings:  of the server, beside those of every test's.
    """
    account = accounts.borrowed()
    binaries = accounts.within_reach(embedded.find(None), account)
    with home_of_its_own() as home:
        recipe = Recipe(
            binaries=str(binaries.folder),
            folder=str(home),
            sockets=str(home),
            account=account.pw_name if account else None,
            settings={**SETTINGS, **settings},
            port=free_port() if tcp else 5432,
            tcp=tcp,
            throwaway=False,
        )
        server = Server(recipe)
        try:
            yield server
        finally:
            server.stop()


@contextlib.contextmanager
def home_of_its_own() -> Iterator[Path]:
    """A short folder that the server's account can enter, removed at the end."""
    home = Path(tempfile.mkdtemp(prefix="pgqueue-test-", dir="/tmp"))
    home.chmod(0o711)
    try:
        yield home
    finally:
        shutil.rmtree(home)


def free_port() -> int:
    """Of 127.0.0.1, where nobody listens now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def through(line: Line) -> str:
    """DSN of a server of our own on TCP, by way of that line."""
    return f"postgresql://postgres@127.0.0.1:{line.port}/pgqueue"
