"""pgqueue schedule list | set | preview | pause | resume | run | remove | prune"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

import typer

from pgqueue import monitor, scheduling
from pgqueue.cli import arguments, show
from pgqueue.cli.database import Dsn, Embedded, connected
from pgqueue.cli.job_options import Args, Kind, MaxAttempts, Priority, Queue, Timeout
from pgqueue.cron import Cron
from pgqueue.errors import ConfigurationError
from pgqueue.job import DEFAULT_MAX_ATTEMPTS, DEFAULT_PRIORITY, DEFAULT_QUEUE, Job
from pgqueue.schedule import Schedule

app = typer.Typer(
    no_args_is_help=True,
    help="Look at schedules, make and change them, pause, resume, run or remove them.",
    rich_markup_mode=None,
)

Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the schedule.", show_default=False)]
Expression = Annotated[
    str | None,
    typer.Option("--cron", metavar="EXPRESSION", help="Five fields, six with seconds in front, or @daily and friends."),
]
Interval = Annotated[
    str | None, typer.Option("--every", metavar="LENGTH", help="Time between two runs: 30s, 5m, 2h, 1d; or seconds.")
]
Zone = Annotated[str, typer.Option(metavar="NAME", help="Time zone of the expression, such as Europe/Berlin.")]
Start = Annotated[str | None, typer.Option(metavar="TIME", help="No run before: ISO 8601 with a time zone.")]
End = Annotated[str | None, typer.Option(metavar="TIME", help="No run after.")]
Most = Annotated[int | None, typer.Option(metavar="N", help="It ends after so many runs. Default: never.")]
Jitter = Annotated[float | None, typer.Option(metavar="SECONDS", help="Start each job up to so much later, by chance.")]
Missed = Annotated[str, typer.Option(metavar="skip|once|N", help="What to make up for when nobody was running.")]
Overlap = Annotated[Literal["allow", "skip", "queue"], typer.Option(help="While the run before is not over.")]
AnyKind = Annotated[bool, typer.Option("--any-kind", help="Do not ask whether a running worker knows the kind.")]

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


@app.command("list", short_help="List schedules, and who fires them.")
def list_(json: show.Json = False, dsn: Dsn = None, embedded: Embedded = False) -> None:
    """List schedules: when they run next, how the last run went, who fires them.

    \b
    Example:
      pgqueue schedule list --json | jq '.[] | select(.state != "active")'
    """
    with connected(dsn, embedded) as connection:
        found = monitor.schedules(connection)
    if json:
        show.as_json(found)
        return
    if not found:
        typer.echo("no schedules")
        return
    show.table(
        ("name", "kind", "when", "state", "next run", "last run", "outcome", "drift", "source"), map(_row, found)
    )
    for schedule in found:
        if schedule.error is not None:
            typer.echo(f"\n{schedule.name}: {show.printable(schedule.error)}")
    typer.echo(f"\nowner: {show.printable(found[0].owner or 'nobody; no worker is running')}")


@app.command("set", short_help="Make a schedule, or change the one of that name.")
def set_(
    name: Name,
    kind: Kind,
    cron: Expression = None,
    every: Interval = None,
    tz: Zone = "UTC",
    args: Args = "{}",
    queue: Queue = DEFAULT_QUEUE,
    priority: Priority = DEFAULT_PRIORITY,
    max_attempts: MaxAttempts = DEFAULT_MAX_ATTEMPTS,
    timeout: Timeout = None,
    start_at: Start = None,
    end_at: End = None,
    max_runs: Most = None,
    jitter: Jitter = None,
    missed: Missed = "once",
    overlap: Overlap = "allow",
    any_kind: AnyKind = False,
    json: show.Json = False,
    dsn: Dsn = None,
    embedded: Embedded = False,
) -> None:
    """Make a schedule, or change the one of that name: as it is given here, whole.

    If its time stays the same, so does its next run; a pause stays in any case.

    \b
    Examples:
      pgqueue schedule set nightly report --cron '30 2 * * *' --tz Europe/Berlin
      pgqueue schedule set poll fetch --every 5m --overlap skip --args '{"source": "erp"}'
    """
    given = arguments.json_object(args)
    wanted = Schedule(
        name,
        Job(kind, given, queue=queue, priority=priority, max_attempts=max_attempts, timeout=timeout),
        cron=cron,
        every=_length(every),
        tz=tz,
        start_at=arguments.moment("--start-at", start_at),
        end_at=arguments.moment("--end-at", end_at),
        max_runs=max_runs,
        jitter=jitter,
        missed=_missed(missed),
        overlap=overlap,
    )
    with connected(dsn, embedded) as connection:
        made = scheduling.schedule(connection, wanted, any_kind=any_kind)
    if json:
        show.as_json({"name": name, **made._asdict()})
    else:
        following = "no run comes" if made.next_run_at is None else f"next run {show.text(made.next_run_at)}"
        typer.echo(f"schedule {name} {'made' if made.created else 'changed'}: {following}")


@app.command()
def preview(
    cron: Annotated[
        str | None, typer.Argument(metavar="EXPRESSION", help="Cron expression.", show_default=False)
    ] = None,
    every: Interval = None,
    tz: Zone = "UTC",
    start_at: Start = None,
    end_at: End = None,
    count: Annotated[int, typer.Option(metavar="N", min=1, max=1000, help="How many.")] = 10,
    json: show.Json = False,
) -> None:
    """Show the next moments of an expression, before it is saved. Needs no database.

    \b
    Examples:
      pgqueue schedule preview '0 9 * * mon-fri' --tz Europe/Berlin
      pgqueue schedule preview --every 90m --start-at 2026-01-31T00:00Z
    """
    schedule = Schedule(
        "preview",
        Job("preview"),
        cron=cron,
        every=_length(every),
        tz=tz,
        start_at=arguments.moment("--start-at", start_at),
        end_at=arguments.moment("--end-at", end_at),
    )
    found = schedule.moments(datetime.now(UTC), count)
    zone = ZoneInfo(tz)
    if json:
        show.as_json([moment.astimezone(zone) for moment in found])
        return
    rule = schedule.rule
    if isinstance(rule, Cron):
        typer.echo(f"{rule.explain()}, {tz}\n")
    rows = [[moment.astimezone(zone).strftime("%a %Y-%m-%d %H:%M:%S %z"), moment] for moment in found]
    if rows:
        show.table((tz, "UTC"), rows) if tz != "UTC" else show.table(("UTC",), [row[1:] for row in rows])
    else:
        typer.echo("no run comes")


@app.command()
def pause(name: Name, json: show.Json = False, dsn: Dsn = None, embedded: Embedded = False) -> None:
    """Keep a schedule from firing until it is resumed. A deploy does not resume it.

    \b
    Example:
      pgqueue schedule pause nightly
    """
    with connected(dsn, embedded) as connection:
        scheduling.pause_schedule(connection, name)
    _done("paused", name, json)


@app.command()
def resume(name: Name, json: show.Json = False, dsn: Dsn = None, embedded: Embedded = False) -> None:
    """Let a schedule fire again. Its rule for missed runs decides about those that passed meanwhile.

    \b
    Example:
      pgqueue schedule resume nightly
    """
    with connected(dsn, embedded) as connection:
        scheduling.resume_schedule(connection, name)
    _done("resumed", name, json)


@app.command()
def run(name: Name, json: show.Json = False, dsn: Dsn = None, embedded: Embedded = False) -> None:
    """Enqueue a job of the schedule now. Its next run stays.

    \b
    Example:
      pgqueue schedule run nightly
    """
    with connected(dsn, embedded) as connection:
        job = scheduling.run_schedule(connection, name)
    if json:
        show.as_json({"name": name, "id": job})
    else:
        typer.echo(f"job {job} enqueued by schedule {name}")


@app.command()
def remove(name: Name, json: show.Json = False, dsn: Dsn = None, embedded: Embedded = False) -> None:
    """Forget a schedule. Its jobs stay.

    One that is still in the code comes back with the next worker that starts: pause it instead.

    \b
    Example:
      pgqueue schedule remove nightly
    """
    with connected(dsn, embedded) as connection:
        scheduling.remove_schedule(connection, name)
    _done("removed", name, json)


@app.command(short_help="Remove those that are in the code no longer.")
def prune(json: show.Json = False, dsn: Dsn = None, embedded: Embedded = False) -> None:
    """Remove the schedules that came from code and are in the code of no running worker any more.

    \b
    Example:
      pgqueue schedule prune
    """
    with connected(dsn, embedded) as connection:
        names = scheduling.prune_schedules(connection)
    if json:
        show.as_json({"removed": names})
    else:
        typer.echo(f"removed: {', '.join(names)}" if names else "nothing to remove")


def _done(what: str, name: str, json: bool) -> None:
    if json:
        show.as_json({what: name})
    else:
        typer.echo(f"schedule {name} {what}")


def _row(schedule: monitor.ScheduleInfo) -> list[object]:
    when = f"{schedule.cron} {schedule.tz}" if schedule.cron is not None else f"every {show.text(schedule.every)}"
    source = schedule.source
    if source == "code" and not schedule.in_code and schedule.owner is not None:  # without workers nobody can say
        source = "not in the code of any running worker"
    times = schedule.next_run_at, schedule.last_run_at
    drift = None if schedule.drift is None else f"{schedule.drift.total_seconds() * 1000:.0f} ms"
    return [schedule.name, schedule.kind, when, schedule.state, *times, schedule.last_state, drift, source]


def _length(text: str | None) -> float | None:
    """Seconds."""
    if text is None:
        return None
    number, unit = (text[:-1], text[-1]) if text[-1:] in _UNITS else (text, "s")
    try:
        return float(number) * _UNITS[unit]
    except ValueError as error:
        raise ConfigurationError(f"--every {text!r} is no length of time; give 30s, 5m, 2h, 1d or seconds") from error


def _missed(text: str) -> Literal["skip", "once"] | int:
    if text == "skip":
        return "skip"
    if text == "once":
        return "once"
    if text.isascii() and text.isdigit() and len(text) < 10:
        return int(text)
    raise ConfigurationError(f"--missed {text!r} is none; give skip, once or a number")
