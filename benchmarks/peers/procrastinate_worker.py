"""Procrastinate, run by its own environment's Python. Arguments: install DSN | work DSN."""

from __future__ import annotations

import asyncio
import sys

from procrastinate import App, PsycopgConnector

verb, dsn = sys.argv[1:]
app = App(connector=PsycopgConnector(conninfo=dsn))


@app.task(name="noop")
async def noop(n: int) -> None: ...


async def main() -> None:
    async with app.open_async():
        if verb == "install":
            await app.schema_manager.apply_schema_async()
        else:
            await app.run_worker_async(concurrency=100)


asyncio.run(main())
