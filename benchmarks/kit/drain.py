"""One drain, seen from outside: from the first job claimed to the last one recorded as finished in the database.

The same two looks for every queue: the first job's row, by its key, until somebody has claimed it; the last job's row
until it is recorded, then a count of those that are not.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass

import psycopg

from kit.process import Process, process, until
from kit.server import Server, cpu_of, rss_of
from kit.sides import Side, fill


@dataclass(frozen=True)
class Drained:
    """Figures of one drain. Those per job are what it cost beside time.

    rate:          jobs a second.
    python_cpu:    microseconds of the worker's processor time per job (of node's, for a peer that runs there).
    server_cpu:    microseconds of all of the server's processes per job.
    wal:           bytes per job.
    dead:          rows left for vacuum per job; hot: part of the updates that were HOT, 0 … 1.
    transactions:  per 1000 jobs; a pgqueue worker's round trips, since each is one.
    rss:           megabytes of memory of the worker at the end.
    """

    rate: float
    python_cpu: float
    server_cpu: float
    wal: float
    dead: float
    hot: float
    transactions: float
    rss: float

    def line(self) -> str:
        return (
            f"{self.rate:>9,.0f} jobs/s   worker {self.python_cpu:5.1f} µs, server {self.server_cpu:5.1f} µs, "
            f"{self.wal:5.0f} B WAL, {self.dead:.2f} dead rows, {self.hot:.0%} HOT, "
            f"{self.transactions:.1f} transactions/1000 jobs, {self.rss:.0f} MB"
        )


def drain(server: Server, side: Side, jobs: int) -> Drained:
    """Fills the queue, starts its worker, waits until all is recorded as done."""
    fill(side, jobs)
    before = server.spent(side.database)
    with psycopg.connect(side.dsn, autocommit=True) as looks, process([*side.command, side.dsn]) as worker:
        seconds, python_cpu, server_cpu, rss, asked = _watch(server, side, looks, worker)
        done = looks.execute(side.finished).fetchone()[0] if side.finished else jobs
    if done != jobs:
        raise RuntimeError(f"{side.name}: {done} of {jobs} jobs are recorded as finished")
    spent = server.spent(side.database) - before
    figures = Drained(
        rate=jobs / seconds,
        python_cpu=python_cpu / jobs * 1e6,
        server_cpu=server_cpu / jobs * 1e6,
        wal=spent.wal / jobs,
        dead=(spent.updated + spent.deleted) / jobs,
        hot=spent.hot / spent.updated if spent.updated else 0.0,
        transactions=max(0, spent.transactions - asked) / jobs * 1000,
        rss=rss,
    )
    print(f"  {side.name:<24}{figures.line()}", flush=True)
    return figures


def figures(runs: dict[str, list[Drained]]) -> dict[str, list[dict[str, float]]]:
    """All runs as plain values, for the record."""
    return {name: [asdict(run) for run in found] for name, found in runs.items()}


def _watch(
    server: Server, side: Side, looks: psycopg.Connection, worker: Process
) -> tuple[float, float, float, float, int]:
    """Seconds, processor seconds of worker and server, memory at the end, and how many looks it took."""
    first, last = looks.execute(f"select min(id), max(id) from {side.jobs}").fetchone()
    asked = 1
    claimed = f"select not exists (select from {side.jobs} where id = {first} and {side.waiting})"
    recorded = f"select not exists (select from {side.jobs} where id = {last} and {side.open})"
    empty = f"select not exists (select from {side.jobs} where {side.open})"

    def look(sql: str) -> bool:
        nonlocal asked
        asked += 1
        return bool(looks.execute(sql, prepare=True).fetchone()[0])

    until(lambda: look(claimed), worker)
    started, worker_cpu, server_cpu = time.perf_counter(), sum(cpu_of(worker.pid)), server.cpu()
    until(lambda: look(recorded), worker, pause=0.01)
    until(lambda: look(empty), worker, pause=0.005)
    seconds = time.perf_counter() - started
    try:
        ended, rss = sum(cpu_of(worker.pid)), rss_of(worker.pid)
    except (FileNotFoundError, TypeError):  # it ended by itself and is a zombie, whose memory is gone
        ended, rss = sum(cpu_of(worker.pid)), 0.0
    return seconds, ended - worker_cpu, server.cpu() - server_cpu, rss, asked
