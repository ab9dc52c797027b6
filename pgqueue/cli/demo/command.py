"""pgqueue demo"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from pgqueue.cli import show
from pgqueue.cli.database import database
from pgqueue.cli.failure import OPERATION


def demo(
    dsn: Annotated[
        str | None,
        typer.Option(
            "--dsn",
            metavar="DSN",
            help="Play on this database instead. PGQUEUE_DSN is not looked at: a demo must not hit upon it by chance.",
            show_default=False,
        ),
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help="Where receipts and logs go. Default: a new temporary one.", show_default=False
        ),
    ] = None,
) -> None:
    """See it work: 1,000 orders, two workers, one of them killed in the middle, and the proof that nothing was lost.

    It runs on a Postgres of pgqueue's own, in your data folder, unless told otherwise, and takes about ten seconds.
    Exits 1 if the proof fails. Ctrl-C stops it and its workers. It makes a schema billing_demo, which the next demo
    replaces, and uses the queues demo-billing and demo-receipts.

    \b
    Examples:
      pgqueue demo
      pgqueue demo --dsn postgresql://localhost/playground
    """
    from pgqueue.cli.demo.story import play  # here, so that other commands start without it

    signal.signal(signal.SIGTERM, _interrupted)
    place = folder or Path(tempfile.mkdtemp(prefix="pgqueue-demo-"))
    with contextlib.ExitStack() as stack:
        found = stack.enter_context(database(dsn, embedded=dsn is None))
        proven = play(found, place, show.console())
        if dsn is None:
            typer.echo(f"\nLook around: {again()} status --embedded, {again()} jobs list --embedded --state failed")
    if not proven:
        raise typer.Exit(OPERATION)


def again() -> str:
    """What to type for `pgqueue`: `make demo` puts nothing on the path."""
    if shutil.which("pgqueue"):
        return "pgqueue"
    return sys.argv[0] if os.access(sys.argv[0], os.X_OK) else f"{sys.executable} -m pgqueue"


def _interrupted(*_: Any) -> NoReturn:
    """As Ctrl-C: everything that was started is stopped on the way out."""
    sys.exit(128 + signal.SIGTERM)
