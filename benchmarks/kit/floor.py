"""What the SQL allows: a worker's exchange on bare connections, two lanes, no handler, nothing between the trips.

Arguments: DSN [no-cursor]. Ends when nothing is left.
"""

from __future__ import annotations

import asyncio
import sys

import psycopg
import uvloop

from pgqueue import calls

BATCH = 1000
PRIORITIES = 10


async def lane(dsn: str, worker: int, cursors: bool) -> None:
    """Hands in what it took and takes more, until it finds nothing even from the start."""
    sql = calls.exchange(worker, [], [], None, {}, None, None).sql.encode()
    after_run_at: list[object] | None = None
    after_id: list[int | None] | None = None
    rows: list[tuple[object, ...]] = []
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
        while True:
            params = {
                "worker": worker,
                "ids": f"{{{','.join(str(row[0]) for row in rows)}}}",
                "claims": f"{{{','.join(str(row[1]) for row in rows)}}}",
                "results": None,
                "queues": ["default"],
                "limits": [BATCH],
                "after_run_at": after_run_at,
                "after_id": after_id,
                "result_ttls": None,
            }
            swept = after_id is None
            cursor = await connection.execute(sql, params, prepare=True, binary=True)
            rows = await cursor.fetchall()
            if not rows and swept:
                return
            after_run_at = after_id = None
            if rows and cursors:
                after_run_at, after_id = [None] * PRIORITIES, [None] * PRIORITIES
                row = rows[-1]
                after_run_at[row[5]], after_id[row[5]] = calls.received(row[8]), row[0]


async def main(dsn: str, cursors: bool = True) -> None:
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
        found = await connection.execute("select pgqueue.register('floor', 'here', 0, '0', '{}')")
        (worker,) = await found.fetchone()
        await asyncio.gather(*(lane(dsn, worker, cursors) for _ in range(2)))


if __name__ == "__main__":
    uvloop.run(main(sys.argv[-1] if len(sys.argv) == 2 else sys.argv[1], "no-cursor" not in sys.argv))
