"""The example application, `examples/billing`: an installed package has it inside, a checkout in its root."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import psycopg

from pgqueue.errors import ConfigurationError

_PACKAGE = Path(__file__).resolve().parents[2]

SCHEMA = "billing_demo"
MARK = "Made by pgqueue demo"
"""Beginning of the comment on a schema that a demo made and a demo may drop."""
QUEUES = ("demo-billing", "demo-receipts")


def folder() -> Path:
    """The folder above the package `billing`. Raises `FileNotFoundError`."""
    for place in (_PACKAGE / "_examples", _PACKAGE.parent / "examples"):
        if (place / "billing" / "orders.csv").is_file():
            return place
    raise FileNotFoundError(f"the demo's files are neither in {_PACKAGE} nor beside it: install the package anew")


def module(name: str) -> ModuleType:
    """A module of the example, such as `billing.orders`."""
    if str(folder()) not in sys.path:
        sys.path.insert(0, str(folder()))
    return importlib.import_module(name)


def text(name: str) -> str:
    """A file of the example."""
    return (folder() / "billing" / name).read_text(encoding="utf-8")


def make_schema(connection: psycopg.Connection[Any]) -> None:
    """Make the business tables anew, in place of those of an earlier demo and of nobody else's.

    Raises `ConfigurationError` if the schema's name is taken.
    """
    with connection.transaction():
        found = connection.execute(
            "select obj_description(n.oid, 'pg_namespace') from pg_namespace n where n.nspname = %s", [SCHEMA]
        ).fetchone()
        if found is not None:
            if not (found[0] or "").startswith(MARK):
                raise ConfigurationError(
                    f"the database has a schema {SCHEMA} that no demo made, and the demo would need that name; "
                    "nothing was changed. Use another database"
                )
            connection.execute(f"drop schema {SCHEMA} cascade")
        connection.execute(text("schema.sql").encode())


def drop_waiting_jobs(connection: psycopg.Connection[Any]) -> None:
    """Cancel what an earlier demo, or this one when it is interrupted, left in its queues."""
    connection.execute(
        "select pgqueue.cancel(j.id, 'the demo was interrupted') from pgqueue.job j "
        "where j.queue = any (%s) and j.worker is null",
        [list(QUEUES)],
    )
