"""A standby of a test's own server: it follows until it is promoted."""

from __future__ import annotations

import contextlib
import dataclasses
import pwd
import subprocess
from collections.abc import Iterator

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from pgqueue.embedded import account as accounts
from pgqueue.embedded.account import run_as
from pgqueue.embedded.cluster import environment
from tests.worker.server import Server, home_of_its_own


class Standby(Server):
    """Up, and following. dsn: of it alone."""

    def promote(self) -> None:
        """Returns when it takes writes."""
        with psycopg.connect(self.dsn, autocommit=True) as db:
            assert db.execute("select pg_promote()").fetchone() == (True,)

    def has_replayed(self, written: str) -> bool:
        """Whether it has replayed the WAL up to that place."""
        with psycopg.connect(self.dsn, autocommit=True) as db:
            return db.execute("select pg_last_wal_replay_lsn() >= %s::pg_lsn", [written]).fetchone() == (True,)


def written_by(primary: Server) -> str:
    """The place in its WAL up to which all is written and sent."""
    with psycopg.connect(primary.dsn, autocommit=True) as db:
        db.execute("set synchronous_commit = local")
        # Its commit takes along what was committed asynchronously.
        (place,) = db.execute("select pg_logical_emit_message(true, 'tests', '')::text").fetchone()
        return place


@contextlib.contextmanager
def standby_of(primary: Server) -> Iterator[Standby]:
    """A standby of a server that runs, removed at the end."""
    account = accounts.borrowed()
    with home_of_its_own() as home:
        recipe = dataclasses.replace(primary.recipe, folder=str(home), sockets=str(home))
        accounts.private_folder(recipe.data, account)
        subprocess.run(
            [f"{recipe.binaries}/pg_basebackup", "-d", primary.dsn, "-D", recipe.data, "-R", "-c", "fast", "--no-sync"],
            check=True,
            cwd=home,
            env=environment(),
            **run_as(pwd.getpwnam(recipe.account) if recipe.account else None),
        )
        standby = Standby(recipe)
        standby.start()
        try:
            yield standby
        finally:
            standby.stop("immediate")


def either(*servers: Server) -> str:
    """DSN of whichever of them takes writes, as libpq finds it."""
    given = [conninfo_to_dict(server.dsn) for server in servers]
    return make_conninfo(
        host=",".join(str(one["host"]) for one in given),
        port=",".join(str(one["port"]) for one in given),
        user=given[0]["user"],
        dbname=given[0]["dbname"],
        target_session_attrs="read-write",
    )
