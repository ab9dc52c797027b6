"""Two sessions, one step at a time, without a pause anywhere.

with session.transaction():
    claim(session, A)
    waiting = start(other, lambda: cancel(other, id))
    waiting.waits()              # until the server says that it waits for a lock
waiting.result()                 # what it returned, or raised, once it could go on
"""

import concurrent.futures
import itertools
import time
from collections.abc import Callable
from typing import Any

import psycopg

from tests.databases import with_database
from tests.sql.verbs import value

DEADLINE_SECONDS = 30


class Step:
    """A verb that runs in a thread, because it may have to wait for another session."""

    def __init__(self, connection: psycopg.Connection, verb: Callable[[], Any]) -> None:
        self.pid = connection.info.backend_pid
        self._observer_dsn = with_database(_dsn(connection), connection.info.dbname)
        pool = concurrent.futures.ThreadPoolExecutor(1)
        self._future = pool.submit(verb)
        pool.shutdown(wait=False)

    def waits(self) -> None:
        """Return as soon as it waits for a lock; fail if it ends without."""
        self.until("select cardinality(pg_blocking_pids(%(pid)s)) > 0", "it ended without waiting for anybody")

    def runs(self) -> None:
        """Return as soon as the server works on its statement."""
        self.until("select state = 'active' from pg_stat_activity where pid = %(pid)s", "it ended too early")

    def until(self, question: str, otherwise: str) -> None:
        deadline = time.monotonic() + DEADLINE_SECONDS
        with psycopg.connect(self._observer_dsn, autocommit=True) as observer:
            for asked in itertools.count():
                ended = self._future.done()
                if value(observer, question, {"pid": self.pid}):
                    return
                assert not ended, f"{otherwise}: {self._future.result()}"
                assert time.monotonic() < deadline, f"asked {asked} times in vain: {question}"

    def result(self) -> Any:
        return self._future.result(DEADLINE_SECONDS)


def start(connection: psycopg.Connection, verb: Callable[[], Any]) -> Step:
    """Begin `verb`, which uses `connection`, and return at once."""
    return Step(connection, verb)


def _dsn(connection: psycopg.Connection) -> str:
    password = connection.info.password
    return connection.info.dsn + (f" password={password}" if password else "")
