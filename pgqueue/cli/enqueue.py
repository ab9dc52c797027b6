"""pgqueue enqueue"""

from __future__ import annotations

from typing import Annotated

import typer

from pgqueue import client
from pgqueue.cli import arguments, show
from pgqueue.cli.database import Dsn, Embedded, connected
from pgqueue.cli.job_options import Args, Kind, MaxAttempts, Priority, Queue, Timeout
from pgqueue.errors import ConfigurationError
from pgqueue.job import DEFAULT_MAX_ATTEMPTS, DEFAULT_PRIORITY, DEFAULT_QUEUE, Job
from pgqueue.unique import OnConflict, Unique, Until
from pgqueue.versions import NEWEST, note

Version = Annotated[
    int, typer.Option(metavar="N", min=1, max=NEWEST, help="Version of the arguments, as @job(version=…) has it.")
]
RunAt = Annotated[
    str | None,
    typer.Option(metavar="TIME", help="Not before: ISO 8601 with a time zone, 2026-01-31T12:00Z. Default: now."),
]
Delay = Annotated[float | None, typer.Option(metavar="SECONDS", help="Not before so long from now.")]
ExpiresIn = Annotated[
    float | None, typer.Option(metavar="SECONDS", help="Do not start it later than so long after it may start.")
]
UniqueKey = Annotated[
    str | None, typer.Option(metavar="KEY", help="Add nothing while another job of the kind holds this key.")
]
HeldUntil = Annotated[
    Until | None, typer.Option(help="How long it holds the key. Default: finished; with --within, neither.")
]
Within = Annotated[
    float | None, typer.Option(metavar="SECONDS", help="It holds the key for so long, also when it is done.")
]
Conflict = Annotated[OnConflict, typer.Option(help="What becomes of a waiting job that holds the key.")]


def enqueue(
    kind: Kind,
    args: Args = "{}",
    version: Version = 1,
    queue: Queue = DEFAULT_QUEUE,
    priority: Priority = DEFAULT_PRIORITY,
    run_at: RunAt = None,
    delay: Delay = None,
    max_attempts: MaxAttempts = DEFAULT_MAX_ATTEMPTS,
    timeout: Timeout = None,
    expires_in: ExpiresIn = None,
    unique_key: UniqueKey = None,
    until: HeldUntil = None,
    within: Within = None,
    on_conflict: Conflict = "keep",
    json: show.Json = False,
    dsn: Dsn = None,
    embedded: Embedded = False,
) -> None:
    """Add one job. The handler's code is not needed.

    \b
    Examples:
      pgqueue enqueue charge_invoice --args '{"invoice_id": 42}' --queue billing
      pgqueue enqueue report --run-at 2026-01-31T06:00+01:00 --priority 9
      pgqueue enqueue charge_invoice --args '{"invoice_id": 42}' --unique-key stripe-evt-123 --within 86400
    """
    job = Job(
        kind,
        arguments.json_object(args),
        queue=queue,
        priority=priority,
        run_at=arguments.moment("--run-at", run_at),
        delay=delay,
        max_attempts=max_attempts,
        timeout=timeout,
        meta=note(version),
        expires_in=expires_in,
        unique=_unique(unique_key, until, within, on_conflict),
        unique_key=unique_key,
    )
    with connected(dsn, embedded) as connection:
        enqueued = client.enqueue(connection, job)
    if json:
        show.as_json(enqueued._asdict())
    else:
        done = "enqueued" if enqueued.created else "holds the key"
        typer.echo(f"job {enqueued.id} {done}: {job.kind} in queue {job.queue}")


def _unique(key: str | None, until: Until | None, within: float | None, on_conflict: OnConflict) -> Unique | None:
    unique = Unique(until=until, within=within, on_conflict=on_conflict)
    if key is None and unique != Unique():
        raise ConfigurationError("--until, --within and --on-conflict are about a key; give --unique-key")
    return unique if key is not None else None
