"""pgqueue migrate"""

from __future__ import annotations

from typing import Annotated

import psycopg
import typer

from pgqueue.cli.database import Dsn, Embedded, database, fail_to_connect
from pgqueue.errors import ConfigurationError

DEFAULT_LOCK_TIMEOUT = 5.0


def migrate(
    dsn: Dsn = None,
    embedded: Embedded = False,
    sql: Annotated[
        bool, typer.Option("--sql", help="Print the script instead of running it; needs no server.")
    ] = False,
    from_: Annotated[
        str | None,
        typer.Option("--from", metavar="REV", help="With --sql: revision the database has. Default: no schema yet."),
    ] = None,
    lock_timeout: Annotated[
        float, typer.Option(metavar="SECONDS", help="Longest wait for a table that somebody else has locked.")
    ] = DEFAULT_LOCK_TIMEOUT,
) -> None:
    """Bring the schema pgqueue of a database to this version.

    Makes it where there is none, changes nothing where it is up to date, and never drops data. All of it is one
    transaction; any number of these may start together.

    \b
    Examples:
      pgqueue migrate --dsn postgresql:///app
      pgqueue migrate --sql | psql app
    """
    from pgqueue import migrations  # here, because Alembic takes its time to load

    if sql:
        typer.echo(migrations.script(from_, lock_timeout=lock_timeout).encode(), nl=False)
        return
    if from_ is not None:
        raise ConfigurationError("--from belongs to --sql: a database knows its own revision")
    with database(dsn, embedded) as found:
        try:
            done = migrations.migrate(found, lock_timeout=lock_timeout)
        except psycopg.OperationalError as error:
            if error.sqlstate is None and error.pgconn is not None:
                fail_to_connect(error)
            raise
    if done.before is None:
        typer.echo(f"schema pgqueue made, revision {done.after}")
    elif done.before == done.after:
        typer.echo(f"schema pgqueue is at revision {done.after}")
    else:
        typer.echo(f"schema pgqueue brought from revision {done.before} to {done.after}")
