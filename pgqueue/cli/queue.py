"""pgqueue queue set"""

from __future__ import annotations

from typing import Annotated, Any

import typer

from pgqueue.calls import keys
from pgqueue.cli import show
from pgqueue.cli.database import Dsn, Embedded, connected
from pgqueue.connections import Script, run
from pgqueue.errors import ConfigurationError
from pgqueue.job import check_queue

app = typer.Typer(no_args_is_help=True, help="Settings of queues.", rich_markup_mode=None)


@app.callback()
def _top() -> None:
    """Settings of queues."""


@app.command("set")
def set_(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the queue.", show_default=False)],
    lifo: Annotated[
        bool | None,
        typer.Option(
            "--lifo/--fifo", help="Whether the newest ready job of a priority starts first.", show_default=False
        ),
    ] = None,
    keep_completed: Annotated[
        float | None,
        typer.Option(metavar="DAYS", min=0, max=36_500, help="How long completed jobs stay in the archive."),
    ] = None,
    keep_ended: Annotated[
        float | None,
        typer.Option(metavar="DAYS", min=0, max=36_500, help="The same for failed, cancelled and expired ones."),
    ] = None,
    json: show.Json = False,
    dsn: Dsn = None,
    embedded: Embedded = False,
) -> None:
    """Change settings of a queue; what is not given stays as it is. Workers follow at once.

    \b
    Examples:
      pgqueue queue set thumbnails --lifo
      pgqueue queue set billing --keep-completed 30
    """
    check_queue(name)
    days = {"keep_completed": keep_completed, "keep_ended": keep_ended}
    settings: dict[str, Any] = {} if lifo is None else {"lifo": lifo}
    settings |= {key: f"{value} days" for key, value in days.items() if value is not None}
    if not settings:
        raise ConfigurationError("nothing to set; give --lifo, --fifo, --keep-completed or --keep-ended")
    with connected(dsn, embedded) as connection:
        run(connection, _set(name, settings))
    if json:
        show.as_json({"queue": name, **settings})
    else:
        typer.echo(f"queue {name}: {', '.join(f'{key} {value}' for key, value in settings.items())}")


def _set(name: str, settings: dict[str, Any]) -> Script[None]:
    yield keys.set_queue(name, settings)
