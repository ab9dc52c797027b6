"""What is to run where: everything a supervisor must know of its server, as one value.

A server's folder:

    data/            Postgres's own data folder, 0700
    control          Unix socket of the supervisor; an open connection to it is a lease
    sockets/         Postgres's Unix socket, 0700: whoever may enter is trusted
    lock             held by the supervisor for as long as it lives
    server.log       what postgres said since its last start
    supervisor.log   what the supervisor said, normally nothing

`control` and `sockets` move to a short folder below /tmp when their path would not fit into a socket address.
"""

import hashlib
import json
import os
import stat
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote

from pgqueue.embedded.account import SHARED, Account, can_enter, private_folder
from pgqueue.embedded.error import EmbeddedError

DATABASE = "pgqueue"
OWNER = "postgres"  # the superuser role, and the only one

# A socket address holds 104 bytes on macOS and 108 on Linux, a closing zero included; Postgres adds
# "/sockets/.s.PGSQL.65535" to our folder.
LONGEST = 103 - len("/sockets/.s.PGSQL.65535")


@dataclass(frozen=True)
class Recipe:
    """One server. Travels to the supervisor as JSON, hence plain types.

    binaries:   folder of `postgres` and `initdb`.
    folder:     the server's folder, see above.
    sockets:    where `control` and `sockets/` are; usually the same folder.
    account:    name of the account to run as, None: our own.
    settings:   server settings by name, given on its command line.
    port:       TCP port if `tcp`; always part of the Unix socket's name.
    tcp:        also listen on 127.0.0.1, where everybody on this machine is trusted: for tests only.
    throwaway:  remove the folder at the end.
    """

    binaries: str
    folder: str
    sockets: str
    account: str | None
    settings: dict[str, str]
    port: int
    tcp: bool
    throwaway: bool

    @property
    def data(self) -> Path:
        return Path(self.folder, "data")

    @property
    def log(self) -> Path:
        return Path(self.folder, "server.log")

    @property
    def supervisor_log(self) -> Path:
        return Path(self.folder, "supervisor.log")

    @property
    def lock(self) -> Path:
        return Path(self.folder, "lock")

    @property
    def control(self) -> Path:
        return Path(self.sockets, "control")

    @property
    def socket_folder(self) -> Path:
        return Path(self.sockets, "sockets")

    @property
    def socket(self) -> Path:
        return self.socket_folder / f".s.PGSQL.{self.port}"

    @property
    def dsn(self) -> str:
        """A URL that libpq, asyncpg and SQLAlchemy all understand."""
        if self.tcp:
            return f"postgresql://{OWNER}@127.0.0.1:{self.port}/{DATABASE}"
        return f"postgresql://{OWNER}@/{DATABASE}?host={quote(str(self.socket_folder))}&port={self.port}"

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Recipe":
        return cls(**json.loads(text))


def default_folder(major: int, account: Account | None) -> Path:
    """The user's own, one for each major, as their data folders can't be exchanged.

    Root's home is closed to the account that postgres is run as: for root it is below /var/lib then.
    """
    home = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    folder = Path(home).expanduser() / "pgqueue" / str(major)
    return folder if can_enter(folder, account) else SHARED / str(major)


def prepare_folder(folder: Path, account: Account | None) -> Path:
    """Make the folder of a server. Its mode is ours only if we make it: a folder that is there stays as it is.

    For root it is 0711, owned by root: the borrowed account passes through to its own data and sockets,
    but can't exchange the log and the lock, which root writes, for a link to something else.
    """
    folder = folder.expanduser().absolute()
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
        if account is not None:
            folder.chmod(0o711)
    if account is not None and not can_enter(folder, account):
        raise EmbeddedError(
            f"as root, postgres is run as '{account.pw_name}', which may not enter {folder}; "
            f"choose a folder that is open to it, such as one below {SHARED}, or run as an ordinary user"
        )
    return folder


def socket_home(folder: Path, account: Account | None) -> Path:
    """Where the sockets of the server in `folder` are: the same answer for every user of it."""
    name = str(folder)
    if len(os.fsencode(name)) <= LONGEST and "," not in name:  # libpq splits a host at commas
        return folder
    # Always /tmp, never $TMPDIR: two terminals with different environments must meet here.
    home = Path(
        "/tmp",
        f"pgqueue-{os.geteuid()}-{hashlib.sha256(os.fsencode(name)).hexdigest()[:12]}",
    )
    home.mkdir(mode=0o700, exist_ok=True)
    status = home.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
        raise EmbeddedError(f"{home} should be ours for the sockets of {folder}, but is somebody else's; remove it")
    home.chmod(0o700 if account is None else 0o711)
    return home


def open_private(file: Path) -> BinaryIO:
    """`file`, empty, for writing; if it is new, for our eyes only."""
    return os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb")


def prepare_sockets(recipe: Recipe, account: Account | None) -> None:
    """Make the folder for Postgres's own socket."""
    private_folder(recipe.socket_folder, account)
