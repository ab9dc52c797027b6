"""Values on the terminal: tables for people, JSON for programs."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

Json = Annotated[bool, typer.Option("--json", help="Print JSON: times in ISO 8601, lengths of time in seconds.")]


def as_json(value: Any) -> None:
    """Print dataclasses, or lists and dicts of them."""
    typer.echo(json.dumps(value, default=_plain, ensure_ascii=False, indent=2))


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, title: str | None = None) -> None:
    """Print a table. Numbers go to the right; None is a dash.

    On a terminal it is as wide as that; into a pipe nothing is cut off.
    """
    body = [list(row) for row in rows]
    shown = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for index, column in enumerate(columns):
        numeric = any(isinstance(row[index], int) for row in body)
        shown.add_column(column, justify="right" if numeric else "left", overflow="ellipsis", no_wrap=True)
    for row in body:
        shown.add_row(*(Text(text(value)) for value in row))
    console().print(shown)


def console() -> Console:
    """Where results go."""
    terminal = sys.stdout.isatty()
    return Console(file=sys.stdout, width=None if terminal else 100_000, highlight=False)


def text(value: object) -> str:
    """One line that no job can use to move the cursor or recolour the terminal."""
    match value:
        case None:
            return "-"
        case datetime():
            return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ")
        case timedelta():
            return _length(value)
        case str():
            return printable(value)
        case _:
            return printable(json.dumps(value, default=_plain, ensure_ascii=False))


def printable(value: str, *, keep: str = "") -> str:
    """Control characters spelled out, except those to keep."""
    return "".join(c if c.isprintable() or c in keep else c.encode("unicode_escape").decode() for c in value)


def _length(value: timedelta) -> str:
    seconds = value.total_seconds()
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def _plain(value: object) -> object:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    return str(value)
