"""The floor of latency: a bare client that waits in the kernel, makes one round trip and notes the time.

Arguments: notify DSN           waits for NOTIFY on channel floor; its payload is the number noted
           write DSN            the same, and its round trip updates that row of table floor, not waiting for the disk
           claim DSN            parks in the queue, waits for its ring and makes a worker's exchange, on the one
                                connection; the claimed job's argument n is the number noted
           timer DSN FILE       waits for each moment of FILE, a line each, in seconds of the system's clock
"""

from __future__ import annotations

import json
import os
import select
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg

from kit.jobs import MARK
from pgqueue import calls
from pgqueue.calls import ClaimedJob


def main(mode: str, dsn: str, *rest: str) -> None:
    marks = os.open(os.environ["BENCH_MARKS"], os.O_WRONLY | os.O_APPEND)
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("select 1", prepare=True)
        if mode == "timer":
            for number, moment in enumerate(map(float, Path(rest[0]).read_text().split())):
                time.sleep(max(0.0, moment - time.time()))
                connection.execute("select 1", prepare=True)
                os.write(marks, MARK.pack(number, time.time_ns()))
            return
        if mode == "claim":
            ring = _claimer(connection)
            connection.execute("listen pgqueue")
        else:
            ring = _writer(connection) if mode == "write" else _asker(connection)
            connection.execute("listen floor")
        os.write(marks, MARK.pack(-1, time.time_ns()))
        while True:
            # Not connection.notifies(): nothing can be asked on the connection while that is under way.
            select.select([connection.fileno()], [], [])
            connection.pgconn.consume_input()
            while (notify := connection.pgconn.notifies()) is not None:
                for number in ring(notify.extra.decode()):
                    os.write(marks, MARK.pack(number, time.time_ns()))


def _asker(connection: psycopg.Connection) -> Callable[[str], Iterator[int]]:
    """One round trip, the least there is."""

    def ring(payload: str) -> Iterator[int]:
        connection.execute("select 1", prepare=True)
        yield int(payload)

    return ring


def _writer(connection: psycopg.Connection) -> Callable[[str], Iterator[int]]:
    """One round trip that writes a row it is told: the least that any claim could do."""
    connection.execute("set synchronous_commit = off")

    def ring(payload: str) -> Iterator[int]:
        connection.execute("update floor set taken = true where n = %s", [int(payload)], prepare=True)
        yield int(payload)

    return ring


def _claimer(connection: psycopg.Connection) -> Callable[[str], Iterator[int]]:
    """One round trip, the one that brings jobs. They are handed in afterwards, as a worker does."""
    (worker,) = connection.execute("select pgqueue.register('floor', 'here', 0, '0', '{}')").fetchone()
    connection.execute("select pgqueue.park('default')")

    def exchange(done: list[ClaimedJob], wanted: dict[str, int]) -> list[ClaimedJob]:
        ids, claims = [job.id for job in done], [job.claims for job in done]
        call = calls.exchange(worker, ids, claims, None, wanted, None, None)
        return call.read(connection.execute(call.sql.encode(), call.params, prepare=True, binary=True).fetchall())

    def ring(payload: str) -> Iterator[int]:
        jobs = exchange([], {"default": 1})
        yield from (json.loads(job.args)["n"] for job in jobs)
        exchange(jobs, {})

    return ring


if __name__ == "__main__":
    main(*sys.argv[1:])
