"""Databases for tests: one template per session with the schema in it, for each test a copy of it or one made as new.

All names begin with the session's prefix, so two test runs can share a server and each can clear up after itself.
"""

from urllib.parse import quote, urlencode

import psycopg
from psycopg.conninfo import conninfo_to_dict

from tests import recycling
from tests.install import install_schema

USES = 50
"""Of one database, one after the other: what tests create and drop leaves dead rows in its catalogs."""


def with_database(dsn: str, name: str) -> str:
    """`dsn`, in any form that libpq takes, as a URL that names another database.

    A URL, because asyncpg and SQLAlchemy understand no other form.
    """
    parts = {key: str(value) for key, value in conninfo_to_dict(dsn).items()}
    user, password = parts.pop("user", ""), parts.pop("password", None)
    host, port = parts.pop("host", ""), parts.pop("port", "")
    parts.pop("dbname", None)
    if host.startswith("/"):  # a Unix socket's folder does not fit into a URL's host
        parts |= {"host": host} | ({"port": port} if port else {})
        host = port = ""
    login = quote(user, safe="") + (f":{quote(password, safe='')}" if password is not None else "")
    place = host + (f":{port}" if port else "")
    query = urlencode(parts, safe="/")
    return f"postgresql://{f'{login}@' if login else ''}{place}/{quote(name)}{f'?{query}' if query else ''}"


class Databases:
    """The databases of one session on one server. Safe from several processes with the same `prefix`.

    prefix:  of every database name, for this session alone; lowercase letters, digits and underscores.
    """

    def __init__(self, dsn: str, prefix: str) -> None:
        self.dsn = dsn
        self.prefix = prefix
        self.template = f"{prefix}_template"
        self._connection: psycopg.Connection | None = None
        self._has_template = False
        self._made = 0
        self._new: recycling.Mark | None = None
        self._uses: dict[str, int] = {}
        self._used: list[str] = []

    def create(self, worker: str, *, schema: bool = True) -> str:
        """A new database, empty or with pgqueue's schema; returns its name.

        worker:  of xdist, so that two processes never choose the same name.
        """
        self._made += 1
        name = f"{self.prefix}_{worker}_{self._made}"
        if not schema:
            self._copy(name, "template0")
            return name
        uses = 0
        while self._used and not uses:
            uses = self._renew(self._used.pop(), name)
        if not uses:
            self._ensure_template()
            self._copy(name, self.template)
            self._new = self._new or self._mark(name)
        self._uses[name] = uses + 1
        return name

    def drop(self, name: str) -> None:
        """End it together with whoever is still connected. One with the schema is kept for `create`."""
        if name in self._used:
            return
        if self._uses.get(name, USES) < USES:
            self._server().execute(f'alter database "{name}" allow_connections false')
            recycling.empty_of_sessions(self._server(), name)
            self._used.append(name)
        else:
            self._uses.pop(name, None)
            self._server().execute(f'drop database if exists "{name}" with (force)')

    def drop_all(self) -> None:
        """Drop every database of this session, the template as well."""
        names = self._server().execute(
            "select d.datname from pg_database d where starts_with(d.datname, %s)", [f"{self.prefix}_"]
        )
        self._uses.clear()
        self._used.clear()
        for (name,) in names.fetchall():
            self.drop(name)

    def close(self) -> None:
        """Drop those kept for `create`."""
        while self._used:
            name = self._used.pop()
            del self._uses[name]
            self.drop(name)
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _mark(self, name: str) -> recycling.Mark:
        with psycopg.connect(with_database(self.dsn, name), autocommit=True) as connection:
            return recycling.mark(connection)

    def _renew(self, used: str, name: str) -> int:
        """Make a used database as new, under another name. How often it was used; 0: it is dropped instead."""
        uses, new = self._uses.pop(used), self._new
        assert new is not None
        try:
            self._server().execute(f'alter database "{used}" rename to "{name}"')
            used = name
            self._server().execute(f'alter database "{name}" allow_connections true')
            with psycopg.connect(with_database(self.dsn, name), autocommit=True) as connection:
                connection.execute("set lock_timeout = '5 s'")
                if recycling.renew(connection, new):
                    return uses
        except psycopg.Error:  # what the test did to it is in the way
            pass
        self.drop(used)
        return 0

    def _server(self) -> psycopg.Connection:
        if self._connection is None or self._connection.closed:
            self._connection = psycopg.connect(with_database(self.dsn, "postgres"), autocommit=True)
        return self._connection

    def _copy(self, name: str, template: str) -> None:
        # Copying files costs two thirds of writing them to the WAL, as long as fsync is off.
        strategy = " strategy file_copy" if self._server().info.server_version >= 15_00_00 else ""
        self._server().execute(f'create database "{name}" template "{template}"{strategy}')

    def _ensure_template(self) -> None:
        """Install the schema into the template; the first process to come does it, the others wait."""
        if self._has_template:
            return
        server = self._server()
        server.execute("select pg_advisory_lock(hashtextextended(%s, 0))", [self.template])
        try:
            query = "select from pg_database d where d.datname = %s"
            if server.execute(query, [self.template]).fetchone() is None:
                # Under another name until it is complete: a broken install must not look like a template.
                making = f"{self.prefix}_making"
                self.drop(making)
                self._copy(making, "template0")
                install_schema(with_database(self.dsn, making))
                server.execute(f'alter database "{making}" rename to "{self.template}"')
            self._has_template = True
        finally:
            server.execute("select pg_advisory_unlock(hashtextextended(%s, 0))", [self.template])
