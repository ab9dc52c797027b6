"""The queues that are drained side by side, each as a value: how to fill it, who works it, when it is done."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path

import psycopg

from kit import process
from kit.process import HERE
from kit.server import Server

CACHE = Path.home() / ".cache" / "pgqueue-bench"
"""Where peers are installed, each in an environment of its own."""


@dataclass(frozen=True)
class Side:
    """One queue.

    jobs:      its table of jobs.
    fill:      SQL that adds %(jobs)s no-op jobs.
    empty:     SQL that removes everything.
    waiting:   condition on a row of the table that nobody has claimed yet.
    open:      condition on a row that is not recorded as finished.
    finished:  SQL that counts what is recorded as done well.
    command:   its worker, without the DSN at the end.
    """

    name: str
    database: str
    dsn: str
    jobs: str
    fill: str
    empty: str
    waiting: str
    open: str
    finished: str
    command: list[str] = field(default_factory=list)


class NotInstallable(Exception):
    """A peer that this machine cannot have; the message says why."""


def pgqueue(server: Server, database: str = "pgqueue_bench", kind: str = "noop") -> Side:
    """pgqueue, its worker as a process of its own."""
    return _pgqueue(server.create(database), database, f"pgqueue {kind}", kind, process.worker("")[:-1])


def variant(side: Side, name: str, *, kind: str = "noop", timeout: str = "null", args: str = "") -> Side:
    """The same queue with other jobs. timeout: SQL of an interval; args: SQL of more arguments, 'key', value."""
    fill = _fill(kind, timeout, args)
    return replace(side, name=name, fill=fill)


def floor(side: Side) -> Side:
    """The same SQL on the same tables without handlers or slots: what the database allows."""
    return replace(side, name="SQL floor", command=[sys.executable, "-m", "kit.floor"])


NOOPS = (
    "insert into pgqueue.job (kind, args)"
    " select 'noop', jsonb_build_object('n', g) from generate_series(1, %(count)s) g"
)


def _fill(kind: str, timeout: str = "null", args: str = "") -> str:
    return (
        "insert into pgqueue.job (kind, args, timeout)"
        f" select '{kind}', jsonb_build_object('n', g{args}), {timeout}::interval from generate_series(1, %(jobs)s) g"
    )


def _pgqueue(dsn: str, database: str, name: str, kind: str, command: list[str]) -> Side:
    return Side(
        name=name,
        database=database,
        dsn=dsn,
        jobs="pgqueue.job",
        fill=_fill(kind),
        empty="truncate pgqueue.job, pgqueue.job_archive, pgqueue.attempt",
        waiting="worker is null",
        open="true",
        finished="select count(*) from pgqueue.job_archive where state = 'completed'",
        command=command,
    )


def graphile(server: Server) -> Side:
    """graphile-worker with its batches: local queue of 1000, 100 slots, completions batched. It keeps no history."""
    node, folder = _node()
    database = "graphile"
    dsn = server.create(database, schema=False)
    _run([node, "peers/graphile.cjs", folder, "install", dsn])
    return Side(
        name="graphile-worker",
        database=database,
        dsn=dsn,
        jobs="graphile_worker._private_jobs",
        fill="select count(*) from graphile_worker.add_jobs(array(select row('noop', json_build_object('n', g),"
        " null, null, null, null, null, null)::graphile_worker.job_spec from generate_series(1, %(jobs)s) g))",
        empty="truncate graphile_worker._private_jobs",
        waiting="locked_at is null",
        open="true",
        finished="",
        command=[node, "peers/graphile.cjs", folder, "work"],
    )


def pgqueuer(server: Server) -> Side:
    """PgQueuer on asyncpg and uvloop, in batches of a size at which it is fast here; it keeps a log."""
    python = _python("pgqueuer", "pgqueuer", "asyncpg", "uvloop")
    database = "pgqueuer"
    dsn = server.create(database, schema=False)
    _run([python, "peers/pgqueuer_worker.py", "install", dsn])
    return Side(
        name="PgQueuer",
        database=database,
        dsn=dsn,
        jobs="pgqueuer",
        fill="insert into pgqueuer (priority, entrypoint, payload, status) select 0, 'noop',"
        " convert_to(json_build_object('n', g)::text, 'UTF8'), 'queued' from generate_series(1, %(jobs)s) g",
        empty="truncate pgqueuer, pgqueuer_log, pgqueuer_statistics",
        waiting="status = 'queued'",
        open="true",
        finished="select count(*) from pgqueuer_log where status = 'successful'",
        command=[python, "peers/pgqueuer_worker.py", "work"],
    )


def procrastinate(server: Server) -> Side:
    """Procrastinate with 100 slots; it keeps its jobs."""
    python = _python("procrastinate", "procrastinate", "psycopg[binary,pool]")
    database = "procrastinate"
    dsn = server.create(database, schema=False)
    _run([python, "peers/procrastinate_worker.py", "install", dsn])
    return Side(
        name="Procrastinate",
        database=database,
        dsn=dsn,
        jobs="procrastinate_jobs",
        fill="insert into procrastinate_jobs (queue_name, task_name, args) select 'default', 'noop',"
        " jsonb_build_object('n', g) from generate_series(1, %(jobs)s) g",
        empty="truncate procrastinate_jobs cascade",
        waiting="status = 'todo'",
        open="status <> 'succeeded'",
        finished="select count(*) from procrastinate_jobs where status = 'succeeded'",
        command=[python, "peers/procrastinate_worker.py", "work"],
    )


def available(*makers: object, server: Server) -> list[Side]:
    """Those peers that can be had here; a word about each of the others."""
    sides = []
    for make in makers:
        try:
            sides.append(make(server))  # type: ignore[operator]
        except NotInstallable as error:
            print(f"  skipped {make.__name__}: {error}", flush=True)  # type: ignore[attr-defined]
    return sides


def fill(side: Side, jobs: int) -> None:
    """Empties a queue and adds no-op jobs; statistics are fresh and nothing is left to write to disk."""
    with psycopg.connect(side.dsn, autocommit=True) as connection:
        connection.execute(side.empty)
        connection.execute(side.fill, {"jobs": jobs})
        connection.execute(f"vacuum analyze {side.jobs}")
        connection.execute("checkpoint")


def _python(name: str, *packages: str) -> str:
    python = CACHE / name / "bin" / "python"
    done = CACHE / name / "installed"
    if not done.exists():
        _install([sys.executable, "-m", "venv", str(CACHE / name)])
        _install([str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages])
        done.touch()
    return str(python)


def _node() -> tuple[str, str]:
    """Node, and the folder in which it finds graphile-worker."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        raise NotInstallable("node and npm are not on PATH")
    folder = CACHE / "node"
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "node_modules" / "graphile-worker").exists():
        # Three scripts ask for it: where there is no registry each would wait for more than a minute.
        once_more = ["--fetch-retries=1", "--fetch-retry-mintimeout=1000", "--fetch-retry-maxtimeout=2000"]
        _install([npm, "install", "--silent", *once_more, "--prefix", str(folder), "graphile-worker"])
    return node, str(folder)


def _install(command: list[str]) -> None:
    CACHE.mkdir(parents=True, exist_ok=True)
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    except (OSError, subprocess.SubprocessError) as error:
        raise NotInstallable(str(error)) from error
    if done.returncode != 0:
        raise NotInstallable(f"{' '.join(command)} failed: {(done.stderr or done.stdout).strip()[-300:]}")


def _run(command: list[str]) -> None:
    subprocess.run(command, check=True, cwd=HERE)
