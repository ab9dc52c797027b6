"""A real PgBouncer in transaction mode, in front of the test's server."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from pgqueue.embedded import account as accounts
from tests.worker.server import free_port

PATH = f"{os.environ.get('PATH', '')}:/usr/sbin"
MISSING = shutil.which("pgbouncer", path=PATH) is None
STARTS_WITHIN_SECONDS = 20


@contextlib.contextmanager
def pooler(dsn: str) -> Iterator[str]:
    """DSN of the same database through a pooler of few server connections."""
    given = conninfo_to_dict(dsn)
    wanted = {name: given[name] for name in ("host", "port", "user", "password") if given.get(name)}
    server = " ".join(f"{name}={value}" for name, value in wanted.items())
    account = accounts.borrowed()  # pgbouncer refuses to run as root
    folder = Path(tempfile.mkdtemp(prefix="pgqueue-test-", dir="/tmp"))
    folder.chmod(0o755)
    port = free_port()
    (folder / "ini").write_text(
        f"""[databases]
* = {server}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 4
"""
    )
    process = subprocess.Popen(
        [shutil.which("pgbouncer", path=PATH), "-q", folder / "ini"],
        user=account.pw_name if account else None,
        stderr=subprocess.DEVNULL,
    )
    try:
        pooled = make_conninfo(host="127.0.0.1", port=port, user=given.get("user"), dbname=given.get("dbname"))
        _until_it_answers(pooled)
        yield pooled
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(folder)


def _until_it_answers(dsn: str) -> None:
    deadline = time.monotonic() + STARTS_WITHIN_SECONDS
    while True:
        try:
            psycopg.connect(dsn, connect_timeout=5).close()
            return
        except psycopg.OperationalError:
            if time.monotonic() > deadline:
                raise
