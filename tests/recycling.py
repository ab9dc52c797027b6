"""Used databases, made as new: a tenth of the work of copying one from the template.

A test's rows and tables go. What else it did to the database shows in the catalogs: nobody has written to them, or each
row of them is one that the template has. If not (a function was replaced, a setting made, a table analysed), the
database is not used again. A used database gets a new name, so that nothing that the test before left running finds it.
"""

import time
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

PATIENCE_SECONDS = 60
"""For a session that was told to end to be gone."""

OF_A_RELATION = """relname, relnamespace, relkind, reloptions, relacl, relowner, relnatts, relchecks, relhasrules,
    relhastriggers, relrowsecurity, relforcerowsecurity, relispartition, relhassubclass, relpersistence, relreplident,
    relpartbound is null, relam, reltablespace, reltoastrelid, relkind = 'r' and reltuples > 0"""
"""Columns of pg_class that neither truncating nor vacuuming changes; and whether statistics were taken."""


@dataclass(frozen=True)
class Mark:
    """How a database looks that no test has used.

    relations:  oids of those with storage that are pgqueue's.
    seeded:     tables that have rows from the start, and those rows.
    around:     what `_around` says.
    catalogs:   what `_catalogs` says.
    """

    relations: frozenset[int]
    seeded: dict[str, list[str]]
    around: list[Any]
    catalogs: list[Any]


def mark(connection: psycopg.Connection) -> Mark:
    """Of a database just copied from the template."""
    relations = _relations(connection)
    seeded = {name: _rows(connection, name) for _, name, filled in relations if filled}
    oids = frozenset(oid for oid, _, _ in relations)
    return Mark(oids, seeded, _around(connection), _catalogs(connection))


def renew(connection: psycopg.Connection, new: Mark) -> bool:
    """Make a used database as new. False: it can't be, drop it. Nobody else may be connected to it."""
    relations, written = _relations(connection), _written(connection)
    for oid, name, _ in relations:
        if oid not in new.relations:
            _execute(connection, f"drop table if exists {name} cascade")
            written = True
    full = [name for oid, name, filled in relations if filled and oid in new.relations and name not in new.seeded]
    if full:
        _execute(connection, f"truncate {', '.join(full)}")
    connection.execute(
        """select setval(s.seqrelid, s.seqstart, false) from pg_sequence s
           where pg_sequence_last_value(s.seqrelid) is not null"""
    )
    for name, rows in new.seeded.items():
        if _rows(connection, name) != rows:
            _execute(connection, f"truncate {name}")
            _execute(connection, f"insert into {name} select (r).* from unnest(%s::text[]::{name}[]) r", rows)
    connection.execute("select pg_stat_reset()")
    return _around(connection) == new.around and (not written or _catalogs(connection) == new.catalogs)


def empty_of_sessions(server: psycopg.Connection, database: str) -> None:
    """End all sessions of `database` and wait until they have ended. server: a connection to another one."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    ending = "select pg_terminate_backend(a.pid) from pg_stat_activity a where a.datname = %s"
    while server.execute(ending, [database]).fetchone() is not None:
        assert time.monotonic() < deadline, f"sessions of {database} do not end"
        time.sleep(0.001)


def _relations(connection: psycopg.Connection) -> list[tuple[int, str, bool]]:
    """Tables that are not the system's: oid, name, and whether anything was ever written to it."""
    return connection.execute(
        """select c.oid, c.oid::regclass::text, pg_relation_size(c.oid) > 0 from pg_class c
           where c.oid >= 16384 and c.relkind in ('r', 'p') order by c.oid"""
    ).fetchall()


def _rows(connection: psycopg.Connection, table: str) -> list[str]:
    return [row for (row,) in _execute(connection, f"select t::text from {table} t order by 1")]


def _written(connection: psycopg.Connection) -> bool:
    """Whether a catalog may have been written to since `renew`.

    The server counts that for its statistics; a session that has ended has told all of it. What is not known counts as
    yes: before the first `renew`, after a crash of the server, and before Postgres 15, where it may be told later.
    """
    if connection.info.server_version < 15_00_00:
        return True
    found = connection.execute(
        """select pg_stat_get_db_stat_reset_time(d.oid) is null or (
               select sum(pg_stat_get_tuples_inserted(c.oid) + pg_stat_get_tuples_updated(c.oid)
                   + pg_stat_get_tuples_deleted(c.oid)) > 0
               from pg_class c where c.relnamespace = 'pg_catalog'::regnamespace and c.relkind = 'r'
                   and not c.relisshared and c.relname <> 'pg_class')
           from pg_database d where d.datname = current_database()"""
    ).fetchone()
    return found != (False,)


def _catalogs(connection: psycopg.Connection) -> list[Any]:
    """For each catalog the number of its rows and the newest transaction that wrote one."""
    names = connection.execute(
        """select c.oid::regclass::text from pg_class c where c.relnamespace = 'pg_catalog'::regnamespace
           and c.relkind = 'r' and not c.relisshared and c.relname <> 'pg_class' order by 1"""
    ).fetchall()
    each = [f"select '{name}', count(*), max(c.xmin::text::bigint) from {name} c" for (name,) in names]
    return sorted(_execute(connection, " union all ".join(each)).fetchall())


def _around(connection: psycopg.Connection) -> list[Any]:
    """Of relations what they are, as truncating one writes its row of pg_class anew; and what is kept of the database
    outside of it."""
    relations = _execute(connection, f"select {OF_A_RELATION} from pg_class where oid >= 16384 order by oid").fetchall()
    outside = connection.execute(
        """select d.datallowconn, d.datconnlimit, d.datacl::text,
                  (select count(*) from pg_db_role_setting s where s.setdatabase = d.oid),
                  (select count(*) from pg_prepared_xacts x where x.database = d.datname)
           from pg_database d where d.datname = current_database()"""
    ).fetchall()
    return [relations, outside]


def _execute(connection: psycopg.Connection, query: str, *values: Any) -> psycopg.Cursor:
    return connection.execute(sql.SQL(query), values or None)  # type: ignore[arg-type]
