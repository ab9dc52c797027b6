"""Alembic's own road, for who works on the steps: `alembic upgrade head` ends where `pgqueue migrate` ends.

    alembic -x dsn=postgresql:///app upgrade head       # else $PGQUEUE_DSN, else libpq's own environment

Applications call pgqueue.migrations.migrate instead; it renders the same steps without this file.
"""

import os

import psycopg
from sqlalchemy import NullPool, create_engine

from alembic import context
from pgqueue.migrations import current, head, refuse_unknown, render, session

stamped = []


def note(*, step, **_):
    if step.is_stamp:
        stamped.append(step)


def target() -> object:
    """Revision that `upgrade` or `stamp` was asked for; None for commands that only look."""
    try:
        return context.get_revision_argument()
    except KeyError:
        return None


def migrate(run) -> None:
    """Run what Alembic was asked for; at head, replace functions and views as well."""
    if target() is None:
        context.run_migrations()
        return
    run(render.PREPARE)
    context.run_migrations(run=run)
    if target() == head() and not stamped:
        run(render.replace_functions_and_views())


def offline() -> None:
    """Print."""
    context.configure(dialect_name="postgresql", version_table_schema="pgqueue", on_version_apply=note)
    run = context.get_context().impl.static_output
    with context.begin_transaction():
        run(render.TAKE_TURN)
        migrate(run)


def online() -> None:
    """Do it, in one transaction."""
    dsn = context.get_x_argument(as_dictionary=True).get("dsn") or os.environ.get("PGQUEUE_DSN", "")
    engine = create_engine(
        "postgresql+psycopg://",
        creator=lambda: psycopg.connect(dsn),
        poolclass=NullPool,
        isolation_level="READ COMMITTED",
    )
    with engine.begin() as connection:
        ours = session.over(connection)
        ours.run(render.TAKE_TURN)
        refuse_unknown(current(ours))
        ours.run(f"set local lock_timeout = '{render.seconds(render.LOCK_TIMEOUT)}'")
        context.configure(connection=connection, version_table_schema="pgqueue", on_version_apply=note)
        migrate(ours.run)


if context.is_offline_mode():
    offline()
else:
    online()
