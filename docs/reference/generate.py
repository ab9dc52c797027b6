"""Writes the reference pages from what the commands, the functions and the views say of themselves.

    python docs/reference/generate.py postgresql:///app     # any database with the schema of this checkout

A test generates them again and compares.
"""

import inspect
import re
import sys
import typing
from collections.abc import Callable, Iterator
from enum import Enum
from pathlib import Path
from typing import Any

import psycopg
import typer
import typer.models

from pgqueue.cli import app
from pgqueue.migrations.files import Replaced, signatures_of

HERE = Path(__file__).resolve().parent
INSTALL = HERE.parents[1] / "sql" / "install.sql"
NOTE = "<!-- Written by docs/reference/generate.py: change what it reads, then run it. -->\n"


def pages(connection: psycopg.Connection[Any]) -> dict[str, str]:
    """Name of the file → its text."""
    return {"cli.md": cli(), "functions.md": functions(connection), "views.md": views(connection)}


def cli() -> str:
    """Every command with its help and options."""
    parts = [
        "# Commands\n",
        NOTE,
        "Every command exits 0 when it is done, 1 when the operation failed (server unreachable, no such job, wrong "
        "schema) and 2 when it was given something that cannot work.\n",
    ]
    for name, function in _commands("pgqueue", app):
        parts += [f"## {name}\n", _help(function), _options(function)]
    return "\n".join(part for part in parts if part)


def _commands(name: str, group: typer.Typer) -> Iterator[tuple[str, Callable[..., Any]]]:
    """A group's commands in their order, and those of its groups."""
    for command in group.registered_commands:
        assert command.callback is not None
        yield f"{name} {command.name or command.callback.__name__}", command.callback
    for inner in group.registered_groups:
        assert inner.typer_instance is not None
        yield from _commands(f"{name} {inner.name}", inner.typer_instance)


def _help(function: Callable[..., Any]) -> str:
    """The docstring; what follows the mark \\b is kept as it is, as on the terminal."""
    text, _, examples = inspect.cleandoc(function.__doc__ or "").partition("\b\n")
    title, _, lines = examples.partition("\n")
    shown = f"\n{title}\n\n```text\n{inspect.cleandoc(lines)}\n```\n" if examples else ""
    return text.strip() + "\n" + shown


def _options(function: Callable[..., Any]) -> str:
    rows = ["| option | meaning | default |", "|---|---|---|"]
    hints = typing.get_type_hints(function, include_extras=True)
    for parameter in inspect.signature(function).parameters.values():
        kind, info = typing.get_args(hints[parameter.name])[:2]
        help_text = (info.help or "").replace("|", "\\|")
        rows.append(f"| {_name(parameter.name, kind, info)} | {help_text} | {_default(parameter.default, info)} |")
    return "\n".join(rows) + "\n"


def _name(name: str, kind: Any, info: Any) -> str:
    if isinstance(info, typer.models.ArgumentInfo):
        return f"`{info.metavar}`"
    declared = next((name for name in info.param_decls or () if name.startswith("--")), None)
    value = info.metavar or _choices(kind)
    return f"`{declared or '--' + name.rstrip('_').replace('_', '-')}{' ' + value if value else ''}`"


def _choices(kind: Any) -> str:
    """The values that an option may have, if they are few."""
    for part in (kind, *typing.get_args(kind)):
        if isinstance(part, type) and issubclass(part, Enum):
            return "\\|".join(choice.value for choice in part)
        if typing.get_origin(part) is typing.Literal:
            return "\\|".join(typing.get_args(part))
    return ""


def _default(value: Any, info: Any) -> str:
    if value in (None, False, inspect.Parameter.empty) or "Default:" in (info.help or ""):
        return ""
    return f"`{getattr(value, 'value', value)}`"


_FUNCTIONS = """
select p.oid, p.proname, obj_description(p.oid, 'pg_proc'), p.prosrc
from pg_proc p where p.pronamespace = 'pgqueue'::regnamespace and p.prokind = 'f'
"""


def functions(connection: psycopg.Connection[Any]) -> str:
    """Every function with its contract, in the order and under the titles of install.sql."""
    known = {oid: function for oid, *function in connection.execute(_FUNCTIONS)}
    parts = [
        "# SQL functions\n",
        NOTE,
        "Each body begins with its contract, so `\\sf pgqueue.cancel` shows it on a live server. Errors have "
        "SQLSTATEs of their own: PQ001 a value breaks a rule, PQ003 no such job, PQ004 wrong state, PQ005 the worker "
        "was declared dead, PQ020 a schedule breaks a rule, PQ021 no such schedule. Applications and operators call "
        "those of the first two sections; the others are how a worker "
        "works.\n",
    ]
    for title, files in _sections():
        parts.append(f"## {title}\n")
        for file in files:
            source = (INSTALL.parent / "functions" / f"{file}.sql").read_text(encoding="utf-8")
            (signature,) = signatures_of(Replaced(file, source))
            (oid,) = connection.execute("select %s::regprocedure::oid", [signature]).fetchall()[0]
            parts.append(_function(source, *known.pop(oid)))
    if known:
        names = ", ".join(name for name, *_ in known.values())
        raise SystemExit(f"these functions are in the database and not in install.sql: {names}")
    return "\n".join(parts)


def _sections() -> Iterator[tuple[str, list[str]]]:
    """Titles of install.sql with the files of functions under each."""
    for block in INSTALL.read_text(encoding="utf-8").split("\n\n"):
        names = re.findall(r"^\\ir functions/(\w+)\.sql$", block, re.MULTILINE)
        if names:
            title = re.findall(r"^-- (.+)$", block, re.MULTILINE)
            yield title[-1], names


def _function(source: str, name: str, comment: str, body: str) -> str:
    """The signature is the file's, which is written for people; the server's has casts in it."""
    signature = re.search(r"^create or replace function (.+?)\nlanguage", source, re.DOTALL)
    assert signature is not None, name
    header = []
    for line in body.strip().splitlines():
        if not line.startswith("--"):
            break
        header.append(line.removeprefix("--").removeprefix(" "))
    contract = "\n".join(header[1:]).strip("\n")
    return f"### {name}\n\n{comment}\n\n```text\n{signature[1]}\n```\n\n```text\n{contract}\n```\n"


_COLUMNS = """
select a.attname, format_type(a.atttypid, a.atttypmod), col_description(a.attrelid, a.attnum)
from pg_attribute a where a.attrelid = %s::regclass and a.attnum > 0 order by a.attnum
"""
_VIEWS = """
select c.relname, obj_description(c.oid, 'pg_class')
from pg_class c where c.relnamespace = 'pgqueue'::regnamespace and c.relkind = 'v' order by c.relname
"""


def views(connection: psycopg.Connection[Any]) -> str:
    """Every view with its columns."""
    parts = [
        "# Views\n",
        NOTE,
        "The columns of these views are a contract: they keep their names, types and order, and more may come at the "
        "end. The tables behind them are not. Grant somebody who only looks `usage` on the schema and `select` on the "
        "views.\n",
    ]
    for name, comment in connection.execute(_VIEWS).fetchall():
        parts.append(f"## pgqueue.{name}\n\n{comment}\n\n| column | type | meaning |\n|---|---|---|")
        columns = connection.execute(_COLUMNS, [f"pgqueue.{name}"]).fetchall()
        parts.append("\n".join(f"| `{column}` | {type} | {meaning} |" for column, type, meaning in columns) + "\n")
    return "\n".join(parts)


if __name__ == "__main__":
    with psycopg.connect(sys.argv[1]) as database:
        for page, text in pages(database).items():
            (HERE / page).write_text(text, encoding="utf-8")
