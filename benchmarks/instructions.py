"""Instructions that the server executes for an enqueue and for a job, counted under valgrind; by hand, a minute.

    python benchmarks/instructions.py [--major 18]

Each line is a transaction of one prepared statement, without what a first call costs. Two runs differ by a few in a
thousand, so this tells changes apart that no clock can.
"""

from __future__ import annotations

import argparse
from typing import LiteralString

import psycopg
from kit.valgrind import Connection, Counting, counting

from pgqueue import Job, calls, enqueue, enqueue_many, migrations

TIMES, BATCH, PRIORITIES = 200, 400, 10
ENQUEUE: LiteralString = """pgqueue.enqueue('noop', '{"n": 1}')"""
STATEMENTS: dict[str, LiteralString] = {
    "select 1": "select 1",
    "bare insert … returning id": """insert into pgqueue.job (kind, args) values ('noop', '{"n": 1}') returning id""",
    "select pgqueue.enqueue(kind, args)": f"select {ENQUEUE}",
    "select * from pgqueue.enqueue(kind, args)": f"select * from {ENQUEUE}",
    "select pgqueue.enqueue(kind, args, queue => …)": f"select {ENQUEUE[:-1]}, queue => 'default')",
}


class Worker:
    """A registered worker. feeder: a connection that is not counted."""

    def __init__(self, feeder: Connection) -> None:
        register = calls.register("counted", "here", 1, "0", "{}", "{}", direct=True)
        self.id = register.read(feeder.execute(register.sql, register.params).fetchall())
        self.feeder = feeder
        self.held: list[calls.ClaimedJob] = []

    def exchange(self, connection: Connection, wanted: int) -> None:
        """Hands in what it holds and takes so many, from where the last were on."""
        ids, claims = [job.id for job in self.held], [job.claims for job in self.held]
        after_run_at, after_id = [None] * PRIORITIES, [None] * PRIORITIES
        if self.held:
            last = self.held[-1]
            after_run_at[last.priority], after_id[last.priority] = last.run_at, last.id
        wanted_of = {"default": wanted} if wanted else {}
        call = calls.exchange(self.id, ids, claims, None, wanted_of, after_run_at, after_id)
        self.held = call.read(connection.execute(call.sql, call.params, prepare=True).fetchall())
        assert len(self.held) == wanted, f"{len(self.held)} of {wanted} jobs claimed"

    def pick_up(self, connection: Connection) -> None:
        """One job, enqueued just now; the feeder hands it in."""
        enqueue(self.feeder, Job("noop", {"n": 1}))
        self.exchange(connection, 1)
        self.exchange(self.feeder, 0)

    def work(self, connection: Connection) -> None:
        """A batch."""
        enqueue_many(self.feeder, [Job("noop", {"n": 1})] * BATCH)
        self.exchange(connection, BATCH)


def show(what: str, instructions: float) -> None:
    print(f"| {what} | {instructions / 1000:.1f} |", flush=True)


def measure(server: Counting, feeder: Connection) -> None:
    """Prints a table in Markdown."""
    print("| one transaction, thousands of instructions | |\n|---|---:|")
    for what, statement in STATEMENTS.items():
        feeder.execute("truncate pgqueue.job")
        show(what, server.each(lambda connection, sql=statement: connection.execute(sql), TIMES))
    client = calls.enqueue(Job("noop", {"n": 1}))
    show("enqueue(connection, job)", server.each(lambda c: c.execute(client.sql, client.params), TIMES))
    feeder.execute("truncate pgqueue.job")
    show("pgqueue.exchange that finds one job", server.each(Worker(feeder).pick_up, TIMES))
    show(f"a job of an exchange that hands in {BATCH} and takes {BATCH}", server.each(Worker(feeder).work, 10) / BATCH)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--major", type=int, help="of Postgres; default: the highest that is at hand")
    given = parser.parse_args()
    with counting(given.major) as server:
        migrations.migrate(server.dsn)
        with psycopg.connect(server.dsn, autocommit=True) as feeder:
            feeder.execute("select pgqueue.maintain(), pgqueue.forget_sleepers()")  # as the first worker has done
            measure(server, feeder)


if __name__ == "__main__":
    main()
