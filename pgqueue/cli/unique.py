"""pgqueue unique show | release"""

from __future__ import annotations

from typing import Annotated

import typer

from pgqueue import keys
from pgqueue.cli import show
from pgqueue.cli.database import Dsn, Embedded, connected

app = typer.Typer(no_args_is_help=True, help="Look up unique keys and let them go.", rich_markup_mode=None)

Scope = Annotated[
    str, typer.Argument(metavar="KIND", help="Kind of the job, or the scope it was given.", show_default=False)
]
Key = Annotated[str, typer.Argument(metavar="KEY", help="The key.", show_default=False)]


@app.command("show")
def show_(kind: Scope, key: Key, json: show.Json = False, dsn: Dsn = None, embedded: Embedded = False) -> None:
    """Show which job holds a key.

    \b
    Example:
      pgqueue unique show charge_invoice '{"invoice_id":42}'
    """
    with connected(dsn, embedded) as connection:
        found = keys.find_unique(connection, kind, key)
    _tell(found and found.id, "holds the key", json)


@app.command(short_help="Let a key go, for the next job.")
def release(kind: Scope, key: Key, json: show.Json = False, dsn: Dsn = None, embedded: Embedded = False) -> None:
    """Let a key go, so that the next job enqueued under it is a new one. The job that held it stays.

    \b
    Example:
      pgqueue unique release charge_invoice stripe-evt-123
    """
    with connected(dsn, embedded) as connection:
        found = keys.release_unique(connection, kind, key)
    _tell(found and found.id, "held the key; it is free now", json)


def _tell(id: int | None, what: str, json: bool) -> None:
    if json:
        show.as_json({"id": id})
    else:
        typer.echo("no job holds the key" if id is None else f"job {id} {what}")
