"""Chaos: kill anything at any moment, lose nothing.

    make chaos                                                     10 minutes
    PGQUEUE_CHAOS_MINUTES=3 PGQUEUE_CHAOS_SEED=… pytest -m chaos   shorter; the same faults in the same order

PGQUEUE_CHAOS_JSON: a file for the figures. PGQUEUE_CHAOS_ONLY: inject one kind of fault, such as SIGKILL.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import psycopg
import pytest

from tests.chaos import ledger, verdict
from tests.chaos.faults import Fault, World, rooms
from tests.chaos.figures import figures, line
from tests.chaos.fleet import Fleet
from tests.chaos.producers import TABLE, Producers
from tests.chaos.proxy import Network
from tests.install import install_schema
from tests.sql.verbs import value
from tests.worker.server import own_server

pytestmark = pytest.mark.chaos

WORKERS: Final = 3
CALM_WITHIN_SECONDS: Final = 300
"""After the last fault: until the jobs with the longest pauses are done."""
DSN: Final = "postgresql://postgres@127.0.0.1:{port}/pgqueue"


def test_nothing_is_lost_and_nothing_is_recorded_twice(empty_dsn, tmp_path, capsys):
    seed = os.environ.get("PGQUEUE_CHAOS_SEED") or str(random.randrange(10**9))
    seconds = float(os.environ.get("PGQUEUE_CHAOS_MINUTES") or 3) * 60
    with capsys.disabled():
        print(f"\nchaos: PGQUEUE_CHAOS_SEED={seed}, {seconds:.0f} s, logs of the workers in {tmp_path}")

    with psycopg.connect(empty_dsn, autocommit=True) as ledger_db:
        ledger_db.execute(ledger.TABLE)
        with world(seed, empty_dsn, tmp_path) as here:
            faults = chaos(here, seed, seconds)
            told = calm(here)
        evidence = verdict.Evidence(
            batches=here.producers.batches,
            runs=ledger.read(ledger_db),
            lives=here.fleet.lives,
            crashes=[fault.at for fault in faults if fault.kind == "immediate restart"],
            **told,
        )

    summary = figures(evidence, faults, seed, seconds)
    if path := os.environ.get("PGQUEUE_CHAOS_JSON"):
        Path(path).write_text(json.dumps(summary, indent=2) + "\n")
    with capsys.disabled():
        print(f"chaos: {line(summary)}\n{json.dumps(summary)}")
    complaints = [*verdict.broken(evidence), *here.fleet.complaints]
    assert not complaints, "\n".join([f"seed {seed}:", *complaints[:50]])
    assert summary["jobs"] > 0


@contextlib.contextmanager
def world(seed: str, ledger_dsn: str, folder: Path) -> Iterator[World]:
    """A server, bad lines to it, workers and producers; all gone at the end."""
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(own_server(tcp=True))
        server.start()
        install_schema(server.dsn)
        port = psycopg.conninfo.conninfo_to_dict(server.dsn)["port"]
        network = stack.enter_context(Network("127.0.0.1", int(port)))
        with psycopg.connect(server.dsn) as db:
            db.execute(TABLE)
        producers_line = network.line()
        producers = Producers(seed, lambda: psycopg.connect(DSN.format(port=producers_line.port)))
        stack.callback(producers.stop)
        fleet = Fleet(DSN, ledger_dsn, network, WORKERS, folder)
        stack.callback(fleet.disband)
        yield World(server.dsn, server, network, fleet, producers)


def chaos(here: World, seed: str, seconds: float) -> list[Fault]:
    """Lets faults loose for that long. Returns them in the order in which they struck."""
    injectors = rooms(here, seed, os.environ.get("PGQUEUE_CHAOS_ONLY"))
    for room in injectors:
        room.start()
    over_at = time.monotonic() + seconds
    try:
        while time.monotonic() < over_at and not any(room.error for room in injectors):
            here.fleet.tend()
            time.sleep(0.05)
    finally:  # also when somebody interrupts: the last fault is lifted before the server goes
        here.over.set()
        for room in injectors:
            room.join()
    for room in injectors:
        if room.error:
            raise room.error
    return sorted((fault for room in injectors for fault in room.faults), key=lambda fault: fault.at)


def calm(here: World) -> dict[str, Any]:
    """No more faults, no more jobs: waits until none is left, ends the workers, and reads the record."""
    here.producers.stop()
    with psycopg.connect(here.dsn, autocommit=True) as db:
        deadline = time.monotonic() + CALM_WITHIN_SECONDS
        while value(db, "select count(*) from pgqueue.job") and time.monotonic() < deadline:
            here.fleet.tend()
            time.sleep(0.1)
        here.fleet.disband()
        return verdict.read(db)
