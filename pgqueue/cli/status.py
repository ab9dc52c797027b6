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


def status(
    dsn: Dsn = None,
    embedded: Embedded = False,
    json: show.Json = False,
    all: Annotated[bool, typer.Option("--all", help="Also the workers that ended in order within a day.")] = False,
) -> None:
    """Show queues with their jobs by state, and workers.

    \b
    Examples:
      pgqueue status
      pgqueue status --json | jq '.queues[] | select(.failed > 0)'
    """
    with connected(dsn, embedded) as connection:
        queues, workers = monitor.queues(connection), monitor.workers(connection, stopped=all)
    if json:
        show.as_json({"queues": queues, "workers": workers})
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


def _row(worker: monitor.WorkerInfo) -> list[object]:
    queues = ", ".join(f"{queue}:{slots}" for queue, slots in worker.queues.items())
    times = (worker.started_at, worker.heartbeat_at)
    return [worker.id, worker.name, worker.state, worker.running, queues, worker.version, *times]
