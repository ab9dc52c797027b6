"""What happens in the demo, step by step."""

from __future__ import annotations

import contextlib
import html
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from pgqueue import migrations, monitor
from pgqueue.cli import show
from pgqueue.cli.demo import example, proof
from pgqueue.cli.demo.workers import WorkerProcess
from pgqueue.errors import ConfigurationError, QueueError

ORDERS = 1_000
KILL_AFTER_JOBS = 500
"""How many jobs are through when one worker is killed: about a quarter."""
PATIENCE = 60.0
"""Seconds after the import until the demo gives up waiting for the jobs."""
LOOK_EVERY = 0.05
"""Seconds between looks at the views."""

_HIGHEST_JOB = "select coalesce(max(j.id), 0) from pgqueue.jobs j"
_FINISHED = """
select count(*) from pgqueue.jobs j where j.queue = any (%s) and j.id >= %s and j.finished_at is not null
"""
_HELD = "select count(*) from pgqueue.jobs j where j.state = 'running' and j.worker = %s"
_BY_WORKER = """
select j.worker, j.kind, j.state, count(*), max(j.attempt)
from pgqueue.jobs j join billing_demo.customer_order o on j.id in (o.charge_job, o.receipt_job)
group by 1, 2, 3 order by 1, 2, 3
"""


class DemoStuck(QueueError):
    """The jobs did not come to an end in time."""


def play(dsn: str, folder: Path, console: Console) -> bool:
    """The whole demo; gives whether everything it claims held.

    folder:  for receipts and logs; made if it is not there.
    """
    receipts = folder / "receipts"
    receipts.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    with psycopg.connect(dsn, autocommit=True) as connection, contextlib.ExitStack() as stack:
        _prepare(connection)
        stack.callback(_leave_nothing, dsn)
        workers = [WorkerProcess(f"demo-{number}", dsn, receipts, folder / f"worker-{number}.log") for number in (1, 2)]
        for worker in workers:
            stack.callback(worker.stop)
        scene = Scene(connection, workers, stack.enter_context(_progress(console)))
        scene.work()
        seconds = time.monotonic() - began
        codes = [worker.stop() for worker in workers]
        scene.progress.stop()
        _tables(connection)
        claims = proof.claims(connection, receipts)
        claims.append(
            proof.Claim("workers that left in order when told to; the other one was killed", 1, codes.count(0))
        )
    _report(console, claims, receipts, seconds)
    return all(claim.holds for claim in claims)


class Scene:
    """The part with the progress bars: import, work, and one murder."""

    def __init__(self, connection: psycopg.Connection[Any], workers: list[WorkerProcess], progress: Progress) -> None:
        self.connection = connection
        self.survivor, self.victim = workers
        self.progress = progress
        self._first_job = self._count(_HIGHEST_JOB, []) + 1
        self._imported = progress.add_task("orders imported", total=ORDERS)
        self._finished = progress.add_task("jobs finished", total=None)
        self._killed = self._rescued = False
        self._looked = 0.0

    def work(self) -> None:
        """Everything, until no job is left. Raises `DemoStuck`, `WorkerEnded`."""
        jobs = refused = 0
        for outcome in example.module("billing.orders").import_orders(self.connection):
            refused += outcome.refused is not None
            jobs += 2 * (outcome.refused is None)
            self.progress.update(self._imported, completed=outcome.line)
            self._look()
        self._say(f"{refused} malformed orders were rolled back, with the jobs that came with them")
        self.progress.update(self._finished, total=jobs)
        deadline = time.monotonic() + PATIENCE
        while (finished := self._look()) < jobs:
            if time.monotonic() > deadline:
                raise DemoStuck(f"{jobs - finished} jobs were not finished {PATIENCE:g} s after the import")
            time.sleep(LOOK_EVERY)

    def _look(self) -> int:
        """Look at the views, at most every LOOK_EVERY seconds; kill the victim when it is time. Jobs finished."""
        finished = int(self.progress.tasks[self._finished].completed)
        if time.monotonic() < self._looked + LOOK_EVERY:
            return finished
        self._looked = time.monotonic()
        self.survivor.check()
        finished = self._count(_FINISHED, [list(example.QUEUES), self._first_job])
        self.progress.update(self._finished, completed=finished)
        if not self._killed:
            self.victim.check()
            self._killed = finished >= KILL_AFTER_JOBS and self._kill()
        elif not self._rescued:
            self._rescued = self._see_rescue()
        return finished

    def _kill(self) -> bool:
        """Kill the victim if it holds jobs right now."""
        self.victim.freeze()  # or the jobs we see could be finished before the signal arrives
        held = self._count(_HELD, [self.victim.name])
        if held == 0:
            self.victim.thaw()
            return False
        self.victim.kill()
        self._say(f"worker {self.victim.name} was killed with SIGKILL while it held {held} jobs")
        return True

    def _see_rescue(self) -> bool:
        dead = [
            worker for worker in monitor.workers(self.connection) if worker.pid == self.victim.pid and worker.ended_at
        ]
        for worker in dead:
            assert worker.ended_at is not None
            silence = (worker.ended_at - worker.heartbeat_at).total_seconds()
            self._say(
                f"its jobs were given back {silence:.1f} s after its last heartbeat; {self.survivor.name} runs them"
            )
        return bool(dead)

    def _count(self, query: str, params: list[Any]) -> int:
        row = self.connection.execute(query.encode(), params).fetchone()
        assert row is not None
        return int(row[0])

    def _say(self, line: str) -> None:
        self.progress.console.print(f"[bold]•[/] {line}")


def _prepare(connection: psycopg.Connection[Any]) -> None:
    """Schema of the queue and of the business, and nobody else at it. Raises `ConfigurationError`."""
    # Held until the connection ends.
    taken = connection.execute("select pg_try_advisory_lock(hashtext('pgqueue demo'), 0)").fetchone()
    if taken != (True,):
        raise ConfigurationError("another demo is running on this database; let it end, or use another one")
    migrations.migrate(connection)
    example.drop_waiting_jobs(connection)
    example.make_schema(connection)


def _leave_nothing(dsn: str) -> None:
    """On a connection of its own: an interrupt may have come in the middle of a statement on the other."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        example.drop_waiting_jobs(connection)


@contextlib.contextmanager
def _progress(console: Console) -> Iterator[Progress]:
    columns = (TextColumn("{task.description:<16}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        yield progress


def _tables(connection: psycopg.Connection[Any]) -> None:
    """The views, as `pgqueue status` shows them."""
    queues = [queue for queue in monitor.queues(connection) if queue.queue in example.QUEUES]
    columns = ("queue", "ready", "scheduled", "running", "completed", "failed")
    show.table(columns, [[getattr(queue, name) for name in columns] for queue in queues], title="\npgqueue.queue_stats")
    rows = connection.execute(_BY_WORKER).fetchall()
    show.table(("worker", "kind", "state", "jobs", "attempts at most"), rows, title="\npgqueue.jobs, of this import")


def _report(console: Console, claims: list[proof.Claim], receipts: Path, seconds: float) -> None:
    """The proof, and where things are."""
    rows = [["yes" if claim.holds else "NO", claim.text, claim.wanted, claim.found] for claim in claims]
    show.table(("holds", "claim", "wanted", "found"), rows, title="\nProof, in SQL")
    index = receipts / "index.html"
    links = "\n".join(
        f'<li><a href="{file.name}">{html.escape(file.stem)}</a>' for file in sorted(receipts.glob("R-*.html"))
    )
    index.write_text(f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Receipts</title><ul>{links}</ul>')
    console.print(f"\nReceipts: {index}", soft_wrap=True)
    console.print(f"Logs of the workers: {receipts.parent}", soft_wrap=True)
    outcome = (
        "[bold green]Everything held.[/]" if all(claim.holds for claim in claims) else "[bold red]It did not hold.[/]"
    )
    console.print(f"{outcome} {seconds:.1f} s from the empty schema to the last job.")
