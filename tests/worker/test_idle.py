"""Idleness: what a worker costs its server while there is nothing to do."""

import re
import time
from collections import Counter

import psycopg

from tests.install import install_schema
from tests.sql.verbs import value
from tests.worker.server import own_server
from tests.worker.working import NEVER, until, until_asleep, working


async def test_an_idle_worker_costs_one_transaction_a_second():
    """One statement is its sign of life and asks what there is to do; nothing for each queue or slot.

    Counted in the server's own log of statements. Its counters in pg_stat_database lag by up to ten seconds, so that
    they still grow by what was before.
    """
    with own_server(log_statement="all", log_line_prefix="<%a> ") as server:
        server.start()
        install_schema(server.dsn)

        def statements() -> Counter[str]:
            return Counter(re.findall(r"^<pgqueue (\w+)> LOG:  (?:execute|statement)", server.log.read_text(), re.M))

        with psycopg.connect(server.dsn, autocommit=True) as db:
            beat = "select heartbeat_at from pgqueue.workers where heartbeat_at > %s"
            async with working(server.dsn, queues={f"q{number}": 10 for number in range(5)}, poll=NEVER):
                await until_asleep(db, 5)
                last = "-infinity"
                for _ in range(4):  # at its first turns a leader makes the archive's partitions, and so on
                    last = await until(lambda last=last: value(db, beat, [last]))
                began, before = time.monotonic(), statements()
                for _ in range(4):
                    last = await until(lambda last=last: value(db, beat, [last]))
                spent, lasted = statements() - before, time.monotonic() - began

    assert lasted > 2.5
    assert 3 <= spent["steward"] <= lasted + 1.5
    assert set(spent) == {"steward"}
