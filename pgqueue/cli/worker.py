"""pgqueue worker"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Final

import psycopg
import typer

from pgqueue.cli import application
from pgqueue.cli.database import Dsn, Embedded, database, fail_to_connect
from pgqueue.errors import ConfigurationError
from pgqueue.failure import is_hook
from pgqueue.job import DEFAULT_QUEUE
from pgqueue.task import registry

log: Final = logging.getLogger("pgqueue.worker")


class LogFormat(StrEnum):
    """How a line of the log looks."""

    text = "text"
    json = "json"


class LogLevel(StrEnum):
    """From which line on."""

    debug = "debug"
    info = "info"
    warning = "warning"
    error = "error"


App = Annotated[
    str,
    typer.Option(metavar="MODULE[:OBJECT]", help="Module that defines the jobs; imported first.", show_default=False),
]
Queues = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME[:SLOTS]",
        help="Queue to serve, and how many of its jobs run at the same time; may be given several times. "
        f"Default: {DEFAULT_QUEUE}.",
    ),
]
Concurrency = Annotated[int, typer.Option(metavar="SLOTS", min=1, help="Slots of each queue that names none.")]
Drain = Annotated[bool, typer.Option("--drain", help="Exit 0 once nothing is left that could run now.")]
Grace = Annotated[
    float, typer.Option(metavar="SECONDS", help="How long running jobs may go on after the first signal.")
]
MaxJobs = Annotated[int | None, typer.Option(metavar="N", help="Exit 0 after so many. Default: never.")]
MaxTime = Annotated[float | None, typer.Option(metavar="SECONDS", help="Exit 0 after so long. Default: never.")]
Poll = Annotated[float, typer.Option(metavar="SECONDS", help="Longest time between looks at a silent queue.")]
Connections = Annotated[
    int,
    typer.Option(metavar="N", help="Most connections that transactional handlers and ctx.once use at the same time."),
]
Name = Annotated[
    str | None, typer.Option(metavar="NAME", help="What it is called in views and logs. Default: HOST:PID.")
]
DirectDsn = Annotated[
    str | None,
    typer.Option(
        metavar="DSN",
        envvar="PGQUEUE_DIRECT_DSN",
        help="The server without its connection pooler, for listening and liveness. Default: --dsn.",
    ),
]
Format = Annotated[LogFormat, typer.Option(help="Log lines on stderr.")]
Level = Annotated[LogLevel, typer.Option(help="Least important line that is written.")]


def worker(
    app: App,
    queue: Queues = None,
    concurrency: Concurrency = 50,
    drain: Drain = False,
    grace: Grace = 30.0,
    max_jobs: MaxJobs = None,
    max_time: MaxTime = None,
    poll: Poll = 30.0,
    connections: Connections = 10,
    name: Name = None,
    direct_dsn: DirectDsn = None,
    log_format: Format = LogFormat.text,
    log_level: Level = LogLevel.info,
    dsn: Dsn = None,
    embedded: Embedded = False,
) -> None:
    """Run the jobs of one or more queues, until told to stop.

    SIGTERM and SIGINT (Ctrl-C): it takes no more jobs, lets those that run go on for up to --grace seconds, gives the
    rest back unharmed and exits 0. A second signal: it gives all back at once.

    \b
    Examples:
      pgqueue worker --app myapp.jobs --queue billing
      pgqueue worker --app myapp.jobs --queue billing:10 --queue mail:4 --drain --log-format json
    """
    from pgqueue.worker import WorkerOptions, logs, run  # here, so that other commands start without it

    logs.setup(log_format.value, log_level.value)
    options = WorkerOptions(
        queues=slots(queue or [DEFAULT_QUEUE], concurrency),
        drain=drain,
        grace=grace,
        max_jobs=max_jobs,
        max_time=max_time,
        poll=poll,
        connections=connections,
        name=name,
        direct_dsn=direct_dsn,
    )
    application.load(app)
    _hint(options.queues)
    with database(dsn, embedded) as found:
        if embedded:
            from pgqueue import migrations

            migrations.migrate(found)
        try:
            code = run(found, options)
        except psycopg.OperationalError as error:
            fail_to_connect(error)
    raise typer.Exit(code)


def _hint(served: Mapping[str, int]) -> None:
    """Tells who has forgotten --queue: else nothing would happen, and nobody say why."""
    queues = {task.options.queue for kind, task in registry.items() if not is_hook(kind)}
    if queues.isdisjoint(served):
        wanted = " ".join(f"--queue {queue}" for queue in sorted(queues))
        log.warning("the jobs of this application go to other queues, unless they say otherwise; give %s", wanted)


def slots(queues: list[str], concurrency: int) -> dict[str, int]:
    """Queue name → slots, from NAME or NAME:SLOTS. Raises `ConfigurationError`."""
    found: dict[str, int] = {}
    for given in queues:
        name, colon, number = given.partition(":")
        if colon and not (number.isascii() and number.isdigit()):
            raise ConfigurationError(f"--queue {given}: {number!r} is no number of slots; give NAME or NAME:SLOTS")
        if name in found:
            raise ConfigurationError(f"--queue {name} was given twice; give each queue once, as NAME:SLOTS")
        found[name] = int(number) if colon else concurrency
    return found
