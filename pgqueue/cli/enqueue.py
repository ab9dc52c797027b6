"""pgqueue enqueue"""

from __future__ import annotations

import json as jsons
from datetime import datetime
from typing import Annotated, Any

import typer

from pgqueue import client
from pgqueue.cli import show
from pgqueue.cli.database import Dsn, Embedded, connected
from pgqueue.errors import ConfigurationError
from pgqueue.job import DEFAULT_MAX_ATTEMPTS, DEFAULT_PRIORITY, DEFAULT_QUEUE, Job


def enqueue(
    kind: Annotated[str, typer.Argument(metavar="KIND", help="Name of the handler.", show_default=False)],
    args: Annotated[str, typer.Option("--args", metavar="JSON", help="Its keyword arguments, a JSON object.")] = "{}",
    queue: Annotated[str, typer.Option(metavar="NAME", help="Queue to put it in.")] = DEFAULT_QUEUE,
    priority: Annotated[int, typer.Option(metavar="0…9", help="0 is first, 9 is last.")] = DEFAULT_PRIORITY,
    run_at: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Not before: ISO 8601 with a time zone, 2026-01-31T12:00Z. Default: now."),
    ] = None,
    delay: Annotated[float | None, typer.Option(metavar="SECONDS", help="Not before so long from now.")] = None,
    max_attempts: Annotated[
        int, typer.Option(metavar="N", help="The attempt after which a failure is final.")
    ] = DEFAULT_MAX_ATTEMPTS,
    timeout: Annotated[
        float | None,
        typer.Option(metavar="SECONDS", help="Longest run time of one attempt. Default: as the handler says."),
    ] = None,
    json: show.Json = False,
    dsn: Dsn = None,
    embedded: Embedded = False,
) -> None:
    """Add one job. The handler's code is not needed.

    \b
    Examples:
      pgqueue enqueue charge_invoice --args '{"invoice_id": 42}' --queue billing
      pgqueue enqueue report --run-at 2026-01-31T06:00+01:00 --priority 9
    """
    job = Job(
        kind,
        _arguments(args),
        queue=queue,
        priority=priority,
        run_at=_moment(run_at),
        delay=delay,
        max_attempts=max_attempts,
        timeout=timeout,
    )
    with connected(dsn, embedded) as connection:
        enqueued = client.enqueue(connection, job)
    if json:
        show.as_json(enqueued._asdict())
    else:
        typer.echo(f"job {enqueued.id} enqueued: {job.kind} in queue {job.queue}")


def _arguments(text: str) -> dict[str, Any]:
    example = """give an object like '{"invoice_id": 42}'"""
    try:
        value = jsons.loads(text)
    except jsons.JSONDecodeError as error:
        near = text[error.pos : error.pos + 20]
        place = f"at {near!r}" if near else "at its end"
        raise ConfigurationError(
            f"--args is no JSON: {error.msg} {place}, line {error.lineno} column {error.colno}; {example}"
        ) from error
    if not isinstance(value, dict):
        raise ConfigurationError(f"--args is a JSON {type(value).__name__}; {example}")
    return value


def _moment(text: str | None) -> datetime | None:
    example = "give ISO 8601 with a time zone, like 2026-01-31T12:00:00+01:00 or …Z"
    try:
        moment = None if text is None else datetime.fromisoformat(text)
    except ValueError as error:
        raise ConfigurationError(f"--run-at {text!r} is no time; {example}") from error
    if moment is not None and moment.utcoffset() is None:
        raise ConfigurationError(f"--run-at {text!r} has no time zone, so it names no moment; {example}")
    return moment
