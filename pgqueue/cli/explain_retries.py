"""pgqueue explain-retries"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any

import typer

from pgqueue import backoff
from pgqueue.cli import application, show
from pgqueue.errors import ConfigurationError, UnknownKind
from pgqueue.task import Task, find

SHOWN = 50
"""Attempts in a table. 32,767 are possible."""


def explain_retries(
    kind: Annotated[str, typer.Argument(metavar="KIND", help="Name of the handler.", show_default=False)],
    app: Annotated[
        str,
        typer.Option(metavar="MODULE[:OBJECT]", help="Module that defines the jobs; imported.", show_default=False),
    ],
    attempts: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=1, max=32_767, help="As for a job with so many attempts. Default: as the handler says."
        ),
    ] = None,
    json: show.Json = False,
) -> None:
    """Show when a job that fails again and again is tried, and when it is given up. Needs no database.

    Times count from the first attempt and leave out how long attempts take. Jitter makes each pause a range.

    \b
    Examples:
      pgqueue explain-retries charge_invoice --app myapp.jobs
      pgqueue explain-retries charge_invoice --app myapp.jobs --attempts 5 --json
    """
    application.load(app)
    try:
        task = find(kind)
    except UnknownKind as error:
        raise ConfigurationError(str(error)) from error
    steps = backoff.schedule(task.backoff, attempts or task.options.max_attempts)
    if json:
        show.as_json({"kind": kind, **_rules(task), "attempts": steps})
        return
    for name, rule in _rules(task).items():
        typer.echo(f"{name:<12}{show.text(rule)}")
    typer.echo("")
    rows = [[step.attempt, _range(step.earliest, step.latest), _range(step.shortest, step.longest)] for step in steps]
    show.table(("attempt", "starts after", "then waits"), rows[:SHOWN] + (rows[-1:] if len(rows) > SHOWN else []))
    if len(rows) > SHOWN:
        typer.echo(f"\nattempts {SHOWN + 1} to {len(rows) - 1} are left out; --json has them")


def _rules(task: Task[..., ..., Any]) -> dict[str, object]:
    """What decides beside the pauses. None where nothing was said."""
    options = task.options
    return {
        "backoff": str(task.backoff or backoff.DEFAULT_BACKOFF),
        "retry_on": None if options.retry_on is None else str(options.retry_on),
        "give_up_on": None if options.give_up_on is None else str(options.give_up_on),
        "timeout": task.timeout,
        "on_failed": options.on_failed is not None,
    }


def _range(low: float | None, high: float | None) -> str:
    if low is None or high is None:
        return "-"
    if round(low, 3) == round(high, 3):
        return _length(high)
    return f"{_length(low)} … {_length(high)}"


def _length(seconds: float) -> str:
    return show.text(timedelta(seconds=seconds))
