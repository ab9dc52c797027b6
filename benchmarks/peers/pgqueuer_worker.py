"""PgQueuer, run by its own environment's Python. Arguments: install DSN | work DSN."""

from __future__ import annotations

import os
import sys

import asyncpg
import uvloop
from pgqueuer import PgQueuer
from pgqueuer.db import AsyncpgDriver
from pgqueuer.models import Job
from pgqueuer.queries import Queries

BATCH = int(os.environ.get("PGQUEUER_BATCH", "1000"))
"""Jobs in a round trip, for claims and for outcomes: its default of 10 is slower by far."""


async def main(verb: str, dsn: str) -> None:
    connection = await asyncpg.connect(dsn)
    if verb == "install":
        await Queries(AsyncpgDriver(connection)).install()
        return
    queue = PgQueuer.from_asyncpg_connection(connection)

    @queue.entrypoint("noop")
    async def noop(job: Job) -> None: ...

    await queue.run(batch_size=BATCH)


uvloop.run(main(*sys.argv[1:]))
