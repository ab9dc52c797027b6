"""Where the SQL and the steps lie, and in which order they go.

An installed package carries both inside itself; a checkout has them in its root, where people look for them.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

_PACKAGE = Path(__file__).resolve().parent.parent
_INCLUDE = re.compile(r"^\\ir\s+(\S+)\s*$", re.MULTILINE)
_SIGNATURE = re.compile(r"^comment on function (pgqueue\.\w+\([^)]*\)) is", re.MULTILINE)


class Folders(NamedTuple):
    """sql: holds install.sql. steps: Alembic's script location."""

    sql: Path
    steps: Path


class Replaced(NamedTuple):
    """A file of functions or views, replaced after the last step. name: relative to the folder `sql`."""

    name: str
    text: str


def folders() -> Folders:
    """Beside the package, else in the repository's root. Raises `FileNotFoundError` if they are in neither."""
    for sql, steps in (
        (_PACKAGE / "_sql", _PACKAGE / "_alembic"),
        (_PACKAGE.parent / "sql", _PACKAGE.parent / "alembic"),
    ):
        if (sql / "install.sql").is_file() and (steps / "versions").is_dir():
            return Folders(sql, steps)
    raise FileNotFoundError(f"pgqueue's SQL is neither in {_PACKAGE} nor beside it: install the package anew")


def replaced() -> list[Replaced]:
    """Functions and views, in the order of install.sql."""
    sql = folders().sql
    names = _INCLUDE.findall((sql / "install.sql").read_text(encoding="utf-8"))
    return [
        Replaced(name, (sql / name).read_text(encoding="utf-8")) for name in names if not name.startswith("schema/")
    ]


def signatures_of(file: Replaced) -> list[str]:
    """Functions that a file makes: `pgqueue.name(types)`, as their own comments name them."""
    return _SIGNATURE.findall(file.text)
