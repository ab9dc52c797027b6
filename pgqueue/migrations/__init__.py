"""Bringing a database's schema `pgqueue` to this code's revision.

    migrate("postgresql:///app")            # by itself
    migrate(connection)                     # in your transaction: in your Alembic env.py, or in a revision's upgrade()

Steps change tables, once and in order; functions and views are replaced after the last one, always. All in one
transaction under an advisory lock: of ten replicas that start together one migrates and nine find it done. No step
drops data. Alembic's version table lies in schema `pgqueue`, so an application's own Alembic does not notice.
"""

from __future__ import annotations

import contextlib
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psycopg

from pgqueue.errors import ConfigurationError, QueueError, SchemaMismatch, SchemaTooNew
from pgqueue.migrations import render
from pgqueue.migrations import session as sessions
from pgqueue.migrations.render import LOCK_TIMEOUT, head

if TYPE_CHECKING:
    from collections.abc import Iterator

    import sqlalchemy

    from pgqueue.migrations.session import Session

__all__ = ["LOCK_TIMEOUT", "Migrated", "MigrationBlocked", "current", "head", "migrate", "script"]

logger = logging.getLogger("pgqueue.migrations")

_WHO_BLOCKS = """
select
    a.pid, coalesce(nullif(a.application_name, ''), a.usename), a.state,
    date_trunc('second', clock_timestamp() - a.xact_start)::text
from pg_stat_activity a
where a.pid <> pg_backend_pid() and a.pid in (
    select l.pid from pg_locks l join pg_class c on c.oid = l.relation
    where l.granted and c.relnamespace = to_regnamespace('pgqueue')
        and l.database = (select d.oid from pg_database d where d.datname = current_database())
)
order by a.xact_start limit 3
"""


class MigrationBlocked(QueueError):
    """Another session kept something locked for too long; nothing was changed. Run it again when that has ended."""

    sqlstate = "55P03"


@dataclass(frozen=True)
class Migrated:
    """What a migration did.

    before:  revision found; None: there was no schema.
    after:   revision now.
    """

    before: str | None
    after: str


def migrate(
    target: str | psycopg.Connection[Any] | sqlalchemy.Connection, *, lock_timeout: float = LOCK_TIMEOUT
) -> Migrated:
    """Bring the schema to this code's revision; what is there already stays, data always.

    target:        a DSN, or a connection. On a connection it runs in your transaction, which it neither commits nor
                   rolls back; if the connection commits by itself, in one of its own.
    lock_timeout:  seconds to wait for a table or view that somebody else has locked. Everybody else waits behind us
                   that long, so better short and again than long.

    Waits without limit for another migration under way.

    Raises `SchemaTooNew` if the schema has a revision that this code does not know, `SchemaMismatch` if tables are
    there without one, `MigrationBlocked`, and whatever the driver raises. Nothing was changed then, but on a connection
    of yours the transaction may have to be rolled back.
    """
    _check_lock_timeout(lock_timeout)
    if not isinstance(target, str):
        with _blocked_explained(lock_timeout, None):
            return _migrate(sessions.over(target), lock_timeout)
    with psycopg.connect(target, autocommit=True) as connection:
        session = sessions.over(connection)
        with _blocked_explained(lock_timeout, session):
            return _migrate(session, lock_timeout)


def current(session: Session) -> str | None:
    """The revision of the database's schema; None: it has no schema.

    Raises `SchemaMismatch` if the schema holds tables but no revision.
    """
    ((version, job),) = session.rows("select to_regclass('pgqueue.alembic_version'), to_regclass('pgqueue.job')")
    found = session.rows("select version_num from pgqueue.alembic_version order by 1 desc") if version else []
    if found:
        return str(found[0][0])
    if version or job:
        raise SchemaMismatch(
            "the database has a schema pgqueue with tables but without a revision, so pgqueue cannot tell what it is; "
            "nothing was changed. Rename that schema (alter schema pgqueue rename to …) or use another database"
        )
    return None


def script(start: str | None = None, *, lock_timeout: float = LOCK_TIMEOUT) -> str:
    """The migration from revision `start` (None: from nothing) as a script for psql. Needs no connection.

    Raises `ConfigurationError` for a revision that does not exist and a lock_timeout that cannot be.
    """
    _check_lock_timeout(lock_timeout)
    return render.whole(start, lock_timeout=lock_timeout)


def refuse_unknown(revision: str | None) -> None:
    """Raise `SchemaTooNew` for a revision that is none of this code's."""
    if revision is not None and revision not in render.revisions():
        raise SchemaTooNew(
            f"the schema pgqueue is at revision {revision}, this code knows only up to {head()}; nothing was changed. "
            "Upgrade pgqueue here"
        )


def _check_lock_timeout(lock_timeout: float) -> None:
    """Postgres keeps it as whole milliseconds in 31 bits."""
    if not 0 < lock_timeout <= 2_000_000:
        raise ConfigurationError(f"lock_timeout {lock_timeout} is out of range; give seconds, at most 2000000")


def _migrate(session: Session, lock_timeout: float) -> Migrated:
    with sessions.transaction(session):
        _take_turn(session)
        before = current(session)
        refuse_unknown(before)
        with _settings(session, lock_timeout):
            session.run(render.body(before))
    after = head()
    if after != before:
        logger.info("schema pgqueue: %s → %s", before or "nothing", after)
    return Migrated(before, after)


def _take_turn(session: Session) -> None:
    """Wait for other migrations. With a lock_timeout of the server's or role's the wait would be an error."""
    ((previous,),) = session.rows("select current_setting('lock_timeout')")
    session.run("set local lock_timeout = 0")
    if session.rows(render.TRY_TO_TAKE_TURN) == [(False,)]:
        logger.warning("another migration is under way: waiting for it to end")
        session.run(render.TAKE_TURN)
    session.run(f"set local lock_timeout = '{previous}'")


@contextlib.contextmanager
def _settings(session: Session, lock_timeout: float) -> Iterator[None]:
    """Ours for a moment: the rest of the caller's transaction has its own again."""
    query = "select current_setting('lock_timeout'), current_setting('check_function_bodies')"
    ((lock, bodies),) = session.rows(query)
    session.run(f"set local lock_timeout = '{render.seconds(lock_timeout)}'")
    yield
    session.run(f"set local lock_timeout = '{lock}'; set local check_function_bodies = {bodies}")


@contextlib.contextmanager
def _blocked_explained(lock_timeout: float, own: Session | None) -> Iterator[None]:
    """own: a session that can be asked who blocked us; None: it's the caller's, and its transaction has failed."""
    try:
        yield
    except Exception as error:
        if _sqlstate(error) != MigrationBlocked.sqlstate:
            raise
        found = own.rows(_WHO_BLOCKS) if own else []
        blockers = ", ".join(f"pid {pid} ({name}, {state} for {age})" for pid, name, state, age in found)
        raise MigrationBlocked(
            f"another session kept a lock on pgqueue's tables or views for {lock_timeout:g} s, so the migration gave "
            f"up; nothing was changed. {f'Held by {blockers}. ' if blockers else ''}Let it end, or end it with "
            "select pg_terminate_backend(PID), and run the migration again"
        ) from error


def _sqlstate(error: BaseException) -> str | None:
    cause = getattr(error, "orig", None) or error  # SQLAlchemy wraps the driver's error
    return getattr(cause, "sqlstate", None) or getattr(cause, "pgcode", None)
