"""pgqueue status"""

from __future__ import annotations

from typing import Annotated

import typer

from pgqueue import monitor
from pgqueue.cli import show
from pgqueue.cli.database import Dsn, Embedded, connected

QUEUE_COLUMNS = (
    "queue", "ready", "scheduled", "running", "completed", "failed", "cancelled", "expired", "oldest ready",
)  # fmt: skip
WORKER_COLUMNS = ("id", "worker", "state", "running", "queues", "version", "started", "heartbeat")
UNKNOWN_COLUMNS = ("kind", "queue", "jobs", "since")


def status(
    dsn: Dsn = None,
    embedded: Embedded = False,
    json: show.Json = False,
    all: Annotated[bool, typer.Option("--all", help="Also the workers that ended in order within a day.")] = False,
) -> None:
    """Show queues with their jobs by state, workers, and kinds of jobs that no worker knows.

    \b
    Examples:
      pgqueue status
      pgqueue status --json | jq '.queues[] | select(.failed > 0)'
    """
    with connected(dsn, embedded) as connection:
        queues, workers = monitor.queues(connection), monitor.workers(connection, stopped=all)
        unknown = monitor.unknown_kinds(connection)
    if json:
        show.as_json({"queues": queues, "workers": workers, "unknown_kinds": unknown})
        return
    if queues:
        show.table(QUEUE_COLUMNS, [[getattr(queue, name) for name in monitor.QueueStats.__slots__] for queue in queues])
    else:
        typer.echo("no jobs yet")
    typer.echo("")
    if workers:
        show.table(WORKER_COLUMNS, map(_row, workers))
    else:
        typer.echo("no workers")
    if unknown:
        typer.echo("\nJobs that wait because no worker has a handler for their kind:")
        show.table(UNKNOWN_COLUMNS, [[each.kind, each.queue, each.jobs, each.since] for each in unknown])


def _row(worker: monitor.WorkerInfo) -> list[object]:
    queues = ", ".join(f"{queue}:{slots}" for queue, slots in worker.queues.items())
    times = (worker.started_at, worker.heartbeat_at)
    return [worker.id, worker.name, worker.state, worker.running, queues, worker.version, *times]
