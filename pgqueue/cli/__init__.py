"""The command `pgqueue`. One file for each of its nouns; `failure` says how they fail, `database` on what they work."""

from __future__ import annotations

from typing import Annotated

import typer

import pgqueue
from pgqueue.cli import demo, enqueue, explain_retries, jobs, migrate, queue, schedule, status, unique, worker
from pgqueue.cli.failure import Group

app = typer.Typer(
    cls=Group,
    name="pgqueue",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,  # help as it is written, and an error in one line
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)

app.command()(migrate.migrate)
app.command(short_help="Show queues, workers, and unknown kinds.")(status.status)
app.command()(enqueue.enqueue)
app.add_typer(jobs.app, name="jobs")
app.add_typer(schedule.app, name="schedule", short_help="Look at schedules, make and change them.")
app.add_typer(unique.app, name="unique")
app.add_typer(queue.app, name="queue")
app.command()(worker.worker)
app.command(short_help="Show when a job that keeps failing is tried.")(explain_retries.explain_retries)
app.command(short_help="See it work, with a worker killed.")(demo.demo)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"pgqueue {pgqueue.__version__}")
        raise typer.Exit


@app.callback()
def _top(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show it and exit.")
    ] = False,
) -> None:
    """A job queue in the Postgres you already have."""


def main() -> None:
    """What the console script `pgqueue` runs."""
    app()
