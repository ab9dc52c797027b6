"""A Postgres of our own, for those who have none at hand: started on first use, stopped when its last user goes.

    with embedded.server() as dsn:
        …                       # any number of processes may do this at once: they share one server

Uses the binaries of a wheel or of the system (`binaries`). A detached `supervisor` process owns the
server; each user holds a `lease` on it, an open connection that no kind of death leaves behind.
"""

import contextlib
import socket
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from pgqueue.embedded import account as accounts
from pgqueue.embedded import lease as leases
from pgqueue.embedded.binaries import Binaries, available, find
from pgqueue.embedded.cluster import major_of
from pgqueue.embedded.error import EmbeddedError
from pgqueue.embedded.recipe import Recipe, default_folder, prepare_folder, socket_home

__all__ = ["Binaries", "EmbeddedError", "available", "find", "server", "throwaway"]


@contextlib.contextmanager
def server(
    folder: Path | None = None,
    *,
    major: int | None = None,
    settings: Mapping[str, str] | None = None,
) -> Iterator[str]:
    """Use the server in `folder`, starting it if it doesn't run; yields its DSN, database `pgqueue`.

    folder:    of this server alone; None: `$XDG_DATA_HOME/pgqueue/MAJOR` (by default in `~/.local/share`), or
               `/var/lib/pgqueue/MAJOR` for root.
    major:     of Postgres; None: the one that made the folder's data, else the preferred one.
    settings:  server settings; those of whoever starts it hold. Nothing is changed by default: what is committed is
               on disk.

    It listens on a Unix socket that only its owner can reach. It is stopped half a second after its last user has
    left or died. First start about one second, later 0.1–0.3 s. Raises `EmbeddedError`.
    """
    account = accounts.borrowed()
    if folder is not None:
        major = major or major_of(folder.expanduser())
    binaries = accounts.within_reach(find(major), account)
    home = prepare_folder(folder or default_folder(binaries.major, account), account)
    if (made_by := major_of(home)) not in (None, binaries.major):
        raise EmbeddedError(
            f"the data in {home} were made by Postgres {made_by} and Postgres {binaries.major} can't read them; "
            f"choose another folder, or ask for major {made_by}"
        )
    lease = leases.take(_recipe(binaries, home, account, settings or {}, port=5432))
    try:
        yield lease.dsn
    finally:
        lease.close()


@contextlib.contextmanager
def throwaway(
    *,
    major: int | None = None,
    settings: Mapping[str, str] | None = None,
    tcp: bool = False,
) -> Iterator[str]:
    """An empty server in a temporary folder, for tests; on leaving it is stopped and removed, both completely.

    tcp:  reach it on a free port of 127.0.0.1 instead of its Unix socket. Anybody on this machine may then.

    Removed as well if this process is killed. Other arguments and errors as in `server`.
    """
    account = accounts.borrowed()
    binaries = accounts.within_reach(find(major), account)
    home = Path(tempfile.mkdtemp(prefix="pgqueue-", dir=None if account is None else "/tmp"))
    home.chmod(0o700 if account is None else 0o711)
    port = _free_port() if tcp else 5432
    lease = leases.take(_recipe(binaries, home, account, settings or {}, port=port, tcp=tcp, throwaway=True))
    try:
        yield lease.dsn
    finally:
        lease.close(wait=True)


def _recipe(
    binaries: Binaries,
    folder: Path,
    account: accounts.Account | None,
    settings: Mapping[str, str],
    *,
    port: int,
    tcp: bool = False,
    throwaway: bool = False,
) -> Recipe:
    return Recipe(
        binaries=str(binaries.folder),
        folder=str(folder),
        sockets=str(socket_home(folder, account)),
        account=account.pw_name if account else None,
        settings=dict(settings),
        port=port,
        tcp=tcp,
        throwaway=throwaway,
    )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
