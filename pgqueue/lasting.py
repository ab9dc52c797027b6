"""Connections of our own: opened for life, opened again when lost."""

from __future__ import annotations

import logging
import random
from collections.abc import Iterator
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from pgqueue.calls import Call
from pgqueue.connections import translate

_KEEPALIVE = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}
"""A peer that vanished without a word is noticed within half a minute, not after the kernel's two hours."""


def conninfo(dsn: str, role: str) -> str:
    """The DSN with what such a connection needs; whatever the DSN says itself stays.

    role:  what it is for, as pg_stat_activity shows it: lane, bell, steward, results.
    """
    given = conninfo_to_dict(dsn)
    # utf8: a character that the database lacks is then the server's refusal, as any other bad value is.
    own: dict[str, str | int] = {"application_name": f"pgqueue {role}", "client_encoding": "utf8"}
    defaults = {**_KEEPALIVE, **own}
    return make_conninfo(dsn, **{name: value for name, value in defaults.items() if name not in given})


def pauses(longest: float = 5.0) -> Iterator[float]:
    """Seconds between tries to connect: 0.1 s, doubling to `longest`, more or less a quarter: a fleet must not come at
    once."""
    pause = 0.1
    while True:
        yield pause * random.uniform(0.75, 1.25)
        pause = min(longest, pause * 2)


_FULL = "database has too many connections"
_WRONG = {"25006": "database is read-only", "53100": "database has no disk space left", "53300": _FULL}
"""What is the case, by SQLSTATE, where the server can be reached but does not do its work."""
_TOO_MANY = ("too many clients", "too many connections", "connection slots are reserved", "no more connections allowed")
"""Words of a server or pooler without a free connection: of an error while connecting, libpq keeps only the text."""


class Trouble:
    """Says once that a connection is lost and once that it is back.

    who:  lane, bell, steward, results.
    log:  where to say it.
    """

    def __init__(self, who: str, log: logging.Logger) -> None:
        self.why: str | None = None
        """What is known of the next trouble and is not in its error."""
        self._who = who
        self._log = log
        self._lost = False

    def begins(self, error: BaseException) -> None:
        """Something is wrong; only the first word of it is logged."""
        why, self.why = self.why, None
        if not self._lost:
            self._lost = True
            told = why or " ".join(str(error).split()) or type(error).__name__
            about = {"fields": {"connection": self._who, "error": told}}
            self._log.warning(f"{_what(error, told)}, waiting for it", extra=about)

    def ends(self) -> None:
        """All is well."""
        if self._lost:
            self._lost = False
            self._log.info("database reachable again", extra={"fields": {"connection": self._who}})


def _what(error: BaseException, told: str) -> str:
    if any(words in told for words in _TOO_MANY):
        return _FULL
    return _WRONG.get(getattr(error, "sqlstate", None) or "", "database not reachable")


async def behind_pooler(connection: psycopg.AsyncConnection[Any]) -> bool:
    """Whether something stands between this connection and the server; then it prepares no statements from now on.

    A pooler gives out process ids of its own. Through one in transaction mode each transaction may meet another server
    session, so that prepared statements, LISTEN and session locks do not hold.
    """
    cursor = await connection.execute("select pg_backend_pid()")
    if await cursor.fetchone() == (connection.info.backend_pid,):
        return False
    connection.prepare_threshold = None
    return True


async def execute(connection: psycopg.AsyncConnection[Any], call: Call[Any]) -> Any:
    """The answer of a call, on an autocommit connection of our own. Raises `QueueError`, `psycopg.Error`."""
    try:
        cursor = await connection.execute(call.sql.encode(), call.params, prepare=True, binary=True)
        return call.read(await cursor.fetchall())
    except psycopg.Error as error:
        ours = translate(error)
        if ours is None:
            raise
        raise ours from error
