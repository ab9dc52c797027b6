"""pgqueue jobs list | show | retry | cancel"""

from __future__ import annotations

import dataclasses
from typing import Annotated, Literal

import typer

from pgqueue import client, monitor
from pgqueue.cli import show
from pgqueue.cli.database import Dsn, Embedded, connected

State = Literal["scheduled", "ready", "running", "completed", "failed", "cancelled", "expired"]

app = typer.Typer(
    no_args_is_help=True, help="Look at jobs, bring dead ones back, cancel others.", rich_markup_mode=None
)

Id = Annotated[int, typer.Argument(metavar="ID", help="Number of the job.", show_default=False)]
Ids = Annotated[list[int], typer.Argument(metavar="ID...", help="Numbers of the jobs.", show_default=False)]


@app.command("list")
def list_(
    queue: Annotated[str | None, typer.Option(metavar="NAME", help="Only of this queue.")] = None,
    kind: Annotated[str | None, typer.Option(metavar="KIND", help="Only for this handler.")] = None,
    state: Annotated[State | None, typer.Option(help="Only in this state.")] = None,
    before: Annotated[int | None, typer.Option(metavar="ID", help="Only older than this one: the next page.")] = None,
    limit: Annotated[int, typer.Option(metavar="N", min=1, max=10_000, help="At most so many.")] = 50,
    json: show.Json = False,
    dsn: Dsn = None,
    embedded: Embedded = False,
) -> None:
    """List jobs, the newest first.

    \b
    Examples:
      pgqueue jobs list --state failed --queue billing
      pgqueue jobs list --json --limit 1000 --before 4711
    """
    with connected(dsn, embedded) as connection:
        found = monitor.jobs(connection, queue=queue, kind=kind, state=state, before=before, limit=limit)
    if json:
        show.as_json(found)
        return
    if not found:
        typer.echo("no such jobs")
        return
    columns = ("id", "queue", "kind", "state", "attempt", "run at", "finished", "error")
    show.table(columns, map(_row, found))
    if len(found) == limit:
        typer.echo(f"\nThere may be more: --before {found[-1].id}")


@app.command("show", short_help="Show one job, its attempts, and its log.")
def show_(id: Id, json: show.Json = False, dsn: Dsn = None, embedded: Embedded = False) -> None:
    """Show one job, its failed attempts, and the last thousand lines that it wrote; also while it runs.

    \b
    Example:
      pgqueue jobs show 42
    """
    with connected(dsn, embedded) as connection:
        job, attempts = monitor.job(connection, id), monitor.attempts(connection, id)
        lines = monitor.log(connection, id)
    if json:
        show.as_json({**dataclasses.asdict(job), "failed_attempts": attempts, "log": lines})
        return
    for name in monitor.JobInfo.__slots__:
        typer.echo(f"{name:<17}{show.text(getattr(job, name))}")
    for attempt in attempts:
        typer.echo(
            f"\nattempt {attempt.attempt}, worker {attempt.worker}, ended {show.text(attempt.finished_at)}, "
            f"fingerprint {show.text(attempt.fingerprint)}"
        )
        typer.echo(f"  {show.text(attempt.error)}")
        for line in (attempt.traceback or "").splitlines():
            typer.echo(f"    {show.printable(line)}")
    if lines:
        typer.echo("\nlog")
    for told in lines:
        start = f"  {show.text(told.at)} attempt {told.attempt} {told.level:<8} "
        for line in told.text.splitlines() or [""]:
            typer.echo(f"{start}{show.printable(line)}")


@app.command(short_help="Bring ended jobs back, with all their attempts.")
def retry(ids: Ids, json: show.Json = False, dsn: Dsn = None, embedded: Embedded = False) -> None:
    """Bring failed, cancelled or expired jobs back, with all their attempts. All of them or none.

    \b
    Example:
      pgqueue jobs retry 42 43
    """
    with connected(dsn, embedded) as connection:
        for id in ids:
            client.retry(connection, id)
    _done("retried", "ready again", ids, json)


@app.command(short_help="End waiting jobs, and stop running ones.")
def cancel(
    ids: Ids,
    reason: Annotated[str | None, typer.Option(metavar="TEXT", help="Kept with the job.")] = None,
    json: show.Json = False,
    dsn: Dsn = None,
    embedded: Embedded = False,
) -> None:
    """End waiting jobs as cancelled, and tell the workers of running ones to stop them. All of them or none.

    \b
    Example:
      pgqueue jobs cancel 42 --reason 'customer left'
    """
    with connected(dsn, embedded) as connection:
        done = {id: client.cancel(connection, id, reason) for id in ids}
    cancelled, asked = ([id for id, did in done.items() if did == what] for what in ("cancelled", "asked"))
    if json:
        show.as_json({"cancelled": cancelled, "asked": asked})
        return
    if cancelled:
        _say(cancelled, "cancelled")
    if asked:
        _say(asked, "running: told to stop")


def _done(key: str, words: str, ids: list[int], json: bool) -> None:
    if json:
        show.as_json({key: ids})
    else:
        _say(ids, words)


def _say(ids: list[int], words: str) -> None:
    typer.echo(f"{'job' if len(ids) == 1 else 'jobs'} {', '.join(map(str, ids))} {words}")


def _row(job: monitor.JobInfo) -> list[object]:
    attempt = f"{job.attempt}/{job.max_attempts}"
    return [job.id, job.queue, job.kind, job.state, attempt, job.run_at, job.finished_at, job.error]
