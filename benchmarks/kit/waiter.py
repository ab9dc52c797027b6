"""The floor of latency: a bare client that waits in the kernel, makes one round trip and notes the time.

Arguments: notify DSN           waits for NOTIFY on channel floor; its payload is the number noted
           timer DSN FILE       waits for each moment of FILE, a line each, in seconds of the system's clock
"""

from __future__ import annotations

import os
import select
import sys
import time
from pathlib import Path

import psycopg

from kit.jobs import MARK


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
        connection.execute("listen floor")
        os.write(marks, MARK.pack(-1, time.time_ns()))
        while True:
            # Not connection.notifies(): nothing can be asked on the connection while that is under way.
            select.select([connection.fileno()], [], [])
            connection.pgconn.consume_input()
            while (notify := connection.pgconn.notifies()) is not None:
                connection.execute("select 1", prepare=True)
                os.write(marks, MARK.pack(int(notify.extra), time.time_ns()))


if __name__ == "__main__":
    main(*sys.argv[1:])
