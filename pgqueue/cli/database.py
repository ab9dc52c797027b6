"""Which database a command works on, and the connection to it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Annotated, Any, NoReturn

import psycopg
import typer
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from pgqueue.cli.failure import OPERATION, fail, one_line
from pgqueue.errors import ConfigurationError

Dsn = Annotated[
    str | None,
    typer.Option(
        "--dsn",
        metavar="DSN",
        help="Database, as URL or keywords. Default: $PGQUEUE_DSN, else libpq's environment (PGHOST, PGDATABASE …).",
        show_default=False,
    ),
]
Embedded = Annotated[
    bool,
    typer.Option("--embedded", help="Use a Postgres of pgqueue's own, in your data folder; starts it if need be."),
]

CONNECT_TIMEOUT = 10
"""Seconds to wait for a server, unless the DSN or PGCONNECT_TIMEOUT says otherwise."""


@contextlib.contextmanager
def database(dsn: str | None, embedded: bool) -> Iterator[str]:
    """The DSN to use. Empty: libpq finds its way by itself.

    Raises `ConfigurationError` if both were given or the DSN is none, `EmbeddedError`.
    """
    if not embedded:
        yield _checked(dsn or os.environ.get("PGQUEUE_DSN", ""))
        return
    if dsn:
        raise ConfigurationError("both --dsn and --embedded were given; give one")
    from pgqueue.embedded import server  # here, because it looks at the machine

    with server() as own:
        yield own


@contextlib.contextmanager
def connected(dsn: str | None, embedded: bool) -> Iterator[psycopg.Connection[Any]]:
    """A connection in a transaction that is committed at the end, rolled back on an error."""
    with database(dsn, embedded) as found, connect(found) as connection:
        yield connection


def connect(dsn: str) -> psycopg.Connection[Any]:
    """Connect, or end the command with the reason."""
    given = conninfo_to_dict(dsn)
    defaults: dict[str, str | int] = {"fallback_application_name": "pgqueue"}
    if "PGCONNECT_TIMEOUT" not in os.environ:
        defaults["connect_timeout"] = CONNECT_TIMEOUT
    missing = {name: value for name, value in defaults.items() if name not in given}
    try:
        return psycopg.connect(make_conninfo(dsn, **missing))
    except psycopg.OperationalError as error:
        fail_to_connect(error)


def fail_to_connect(error: psycopg.OperationalError) -> NoReturn:
    """End the command: its server did not answer, or did not let us in."""
    reason = one_line(str(error)).removeprefix("connection failed: ").removeprefix("connection is bad: ")
    reason, _, _ = reason.partition(" Is the server running")  # what libpq asks here, we answer
    advice = "choose the database with --dsn or PGQUEUE_DSN, or use --embedded for a Postgres of pgqueue's own"
    fail(f"cannot connect: {reason}; {advice}", OPERATION)


def _checked(dsn: str) -> str:
    try:
        conninfo_to_dict(dsn)
    except psycopg.ProgrammingError:
        # Not shown, nor libpq's message: there may be a password in it.
        raise ConfigurationError(
            "the connection string given (--dsn or PGQUEUE_DSN) is none: use postgresql://USER@HOST:PORT/DATABASE, "
            "without a +driver, or keywords such as host=HOST dbname=DATABASE"
        ) from None
    return dsn
