"""Single-job transactions by many producers at once, driven by pgbench.

Nobody asleep:   pgqueue.enqueue against a bare INSERT into the same table.
A live worker:   idle at first, then busy with what arrives: pgqueue.enqueue against the same INSERT with a NOTIFY each.
"""

from __future__ import annotations

import contextlib
import re
import subprocess
import tempfile
import time
from functools import partial

import psycopg
from kit.pairs import alternate, arguments, ratio, record, row, show, summary
from kit.process import process, until, worker
from kit.server import Server, program, server

CLIENTS = (16, 64)
CURVE = (1, 4, 16, 64)
"""Numbers of clients of the plot; those that are no goal are measured once."""
GOAL_QUIET, GOAL_LIVE = 0.85, 3.0

INSERT = "insert into pgqueue.job (kind, args) values ('noop', '{\"n\": 1}')"
SCRIPTS = {
    "enqueue": "select pgqueue.enqueue('noop', '{\"n\": 1}');",
    "insert": f"{INSERT} returning id;",
    "notify": f"with added as ({INSERT} returning id) select id, pg_notify('pgqueue', 'default') from added;",
}
PARKED = "select exists (select from pg_locks where locktype = 'advisory' and classid = 1885827330)"


def enqueue(running: Server, dsn: str, script: str, clients: int, seconds: int, live: bool) -> float:
    """Transactions a second of `clients` clients that all run `script`. live: beside an idle worker."""
    with psycopg.connect(dsn, autocommit=True) as connection, contextlib.ExitStack() as cleanup:
        connection.execute("truncate pgqueue.job, pgqueue.job_archive")
        connection.execute("checkpoint")
        if live:
            worked = cleanup.enter_context(process(worker(dsn)))
            until(lambda: connection.execute(PARKED).fetchone()[0], worked, pause=0.05)
        file = cleanup.enter_context(tempfile.NamedTemporaryFile("w", suffix=".sql"))
        file.write(SCRIPTS[script] + "\n")
        file.flush()
        command = [program("pgbench"), "-n", "-M", "prepared", "-c", str(clients), "-j", "2", "-T", str(seconds)]
        done = subprocess.run([*command, "-f", file.name, dsn], capture_output=True, text=True, check=False)
        if done.returncode != 0 or (found := re.search(r"^tps = ([\d.]+)", done.stdout, re.MULTILINE)) is None:
            raise RuntimeError(f"pgbench failed:\n{done.stdout}{done.stderr}")
        made = int(re.search(r"actually processed: (\d+)", done.stdout)[1])
        if live:
            recorded = "select (select count(*) from pgqueue.job_archive) + (select count(*) from pgqueue.job)"
        else:
            recorded = "select count(*) from pgqueue.job"
        time.sleep(0.2)
        if (count := connection.execute(recorded).fetchone()[0]) != made:
            raise RuntimeError(f"{count} of {made} jobs are in the database")
    return float(found[1])


def main() -> None:
    given = arguments(__doc__, jobs=0, smoke=0)
    seconds = 1 if given.smoke else 4
    rows, curve = [], {}
    with server(given.major) as running:
        dsn = running.create("enqueue")
        for clients in CLIENTS[:1] if given.smoke else CURVE:
            for live, goal in ((False, GOAL_QUIET), (True, GOAL_LIVE)):
                other = "notify" if live else "insert"
                names = {f"{name}{', live worker' if live else ''}": name for name in ("enqueue", other)}
                sides = {
                    name: partial(enqueue, running, dsn, script, clients, seconds, live)
                    for name, script in names.items()
                }
                rates = alternate(sides, given.pairs if clients in CLIENTS else 1)
                print(f"{clients} clients")
                for name, found in rates.items():
                    show(name, summary(found), "tx/s")
                    curve.setdefault(name, []).append((clients, summary(found)["median"]))
                ours, theirs = rates.values()
                times = ratio(ours, theirs)
                show("  ratio", times, "×", 2)
                if clients in CLIENTS:
                    against = "INSERT with NOTIFY, with a live worker" if live else "bare INSERT, nobody asleep"
                    medians = [f"{summary(found)['median']:,.0f} tx/s" for found in (ours, theirs)]
                    figure = f"single-job enqueue, {clients} clients, against {against}"
                    rows.append(row(figure, f"≥ {goal} ×", *medians, times["median"], times["median"] >= goal))
        record(given, "enqueue", rows, running.version, curve=curve)


if __name__ == "__main__":
    main()
