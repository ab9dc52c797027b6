"""A throw-away Postgres with durable settings, and what it spent: processor time, WAL, transactions, dead rows."""

from __future__ import annotations

import contextlib
import os
import platform
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import psycopg

from pgqueue import embedded, migrations

SETTINGS = {
    "shared_buffers": "1GB",
    "max_wal_size": "8GB",
    "checkpoint_timeout": "30min",
    "max_connections": "200",
}
"""All that differs from Postgres's own defaults, for both sides alike. fsync and synchronous_commit stay on; the WAL
has room, and each run starts from a checkpoint, so that none falls into a run of one side only."""

TICK = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Spent:
    """Counters of one database and its server at one moment; subtract two.

    cpu:           seconds of processor time of all server processes.
    wal:           bytes.
    transactions:  committed and rolled back.
    updated:       rows updated, hot: of these HOT, deleted: rows deleted. Each update or delete leaves a dead row.
    """

    cpu: float
    wal: int
    transactions: int
    updated: int
    hot: int
    deleted: int

    def __sub__(self, other: Spent) -> Spent:
        return Spent(*(mine - theirs for mine, theirs in zip(self.values(), other.values(), strict=True)))

    def values(self) -> tuple[float, int, int, int, int, int]:
        return self.cpu, self.wal, self.transactions, self.updated, self.hot, self.deleted


class Server:
    """One running server."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        self.admin = psycopg.connect(self.of("postgres"), autocommit=True)
        self.postmaster = int(_status(self.admin.info.backend_pid, "PPid"))
        self.version: str = self.admin.execute("show server_version").fetchone()[0]
        self.log = Path(parse_qs(urlsplit(dsn).query)["host"][0]).parent / "server.log"

    def of(self, database: str) -> str:
        """DSN of a database of this server."""
        return self.dsn.replace("/pgqueue?", f"/{database}?")

    def create(self, database: str, *, schema: bool = True) -> str:
        """A new database, with pgqueue in it; returns its DSN."""
        self.admin.execute(f'create database "{database}"')
        dsn = self.of(database)
        if schema:
            migrations.migrate(dsn)
            with psycopg.connect(dsn, autocommit=True) as connection:
                # A fleet does this once a day, and at its start: not once a run.
                connection.execute("select pgqueue.maintain(), pgqueue.forget_sleepers()")
        return dsn

    def spent(self, database: str) -> Spent:
        """The counters now. Sessions tell theirs at their end, and at most a second late while they work."""
        with psycopg.connect(self.of(database), autocommit=True) as connection:
            connection.execute("select pg_stat_force_next_flush()")
            wal, transactions = connection.execute(
                "select pg_current_wal_insert_lsn() - '0/0'::pg_lsn, xact_commit + xact_rollback from pg_stat_database"
                " where datname = current_database()"
            ).fetchone()
            rows = connection.execute(
                "select coalesce(sum(n_tup_upd), 0), coalesce(sum(n_tup_hot_upd), 0), coalesce(sum(n_tup_del), 0)"
                " from pg_stat_user_tables"
            ).fetchone()
        return Spent(self.cpu(), int(wal), int(transactions), *map(int, rows))

    def cpu(self) -> float:
        """Seconds of processor time of the server: the processes that live and those that ended."""
        while True:
            _, _, *ended = before = cpu_of(self.postmaster, ended_children=True)
            total = sum(before)
            for pid in _children(self.postmaster):
                with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                    total += sum(cpu_of(pid))
            # One that ended meanwhile was perhaps not seen at all, or twice: look again.
            if ended == [*cpu_of(self.postmaster, ended_children=True)[2:]]:
                return total

    def complaints(self) -> int:
        """Lines of the server's log about deadlocks and serialization failures."""
        return len(re.findall(rb"deadlock detected|could not serialize", self.log.read_bytes()))


@contextlib.contextmanager
def server(major: int | None = None, **settings: str) -> Iterator[Server]:
    """A server that is gone afterwards. settings: more of them, on top of SETTINGS."""
    with embedded.throwaway(major=major, settings={**SETTINGS, **settings}) as dsn:
        running = Server(dsn)
        try:
            yield running
        finally:
            running.admin.close()


def program(name: str) -> str:
    """A program that comes with the server, such as pgbench."""
    for found in embedded.available():
        if (found.folder / name).exists():
            return str(found.folder / name)
    raise SystemExit(f"no {name} beside any Postgres of this machine; install the server's client programs")


def cpu_of(pid: int, *, ended_children: bool = False) -> tuple[float, ...]:
    """Seconds of processor time of a process, in its own code and in the kernel; then the same of its children that
    have ended."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return tuple(int(ticks) / TICK for ticks in fields[11 : 15 if ended_children else 13])


def rss_of(pid: int) -> float:
    """Megabytes (10⁶ bytes) of memory that a process has resident."""
    return int(_status(pid, "VmRSS").split()[0]) * 1024 / 1e6


def machine() -> dict[str, str]:
    """What this runs on."""
    cpuinfo = Path("/proc/cpuinfo")
    model = re.search(r"model name\s*:\s*(.+)", cpuinfo.read_text()) if cpuinfo.exists() else None
    return {
        "processor": model[1] if model else platform.machine(),
        "cores": str(len(os.sched_getaffinity(0))),
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 1e9:.0f} GB",
        "system": f"{platform.system()} {platform.release().partition('-')[0]}",
        "python": platform.python_version(),
        "psycopg": psycopg.__version__,
    }


def _status(pid: int, name: str) -> str:
    return re.search(rf"^{name}:\s*(.+)$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)[1]


def _children(parent: int) -> list[int]:
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                if int(_status(int(entry), "PPid")) == parent:
                    found.append(int(entry))
    return found
