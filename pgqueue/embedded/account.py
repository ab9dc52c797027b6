"""Whom postgres runs as: it refuses to be root, so for root another account is borrowed.

Nothing of the machine is changed for that account: no mode of a parent folder, no user. Where it
can't reach the binaries (a virtual environment below /root) it gets a copy of them.
"""

import hashlib
import os
import pwd
import shutil
import tempfile
from pathlib import Path
from typing import Any

from pgqueue.embedded.binaries import Binaries
from pgqueue.embedded.error import EmbeddedError

SHARED = Path("/var/lib/pgqueue")  # what root keeps for the borrowed account; owned by root

Account = pwd.struct_passwd


def borrowed() -> Account | None:
    """The account to run postgres as: `postgres`, else `nobody`. None: we are not root, run as ourselves."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise EmbeddedError(
        "postgres does not run as root, and this machine has neither an account 'postgres' nor 'nobody'; "
        "run pgqueue as an ordinary user, or give --dsn"
    )


def run_as(account: Account | None) -> dict[str, Any]:
    """Arguments for `subprocess` that start a program as `account`."""
    if account is None:
        return {}
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}


def can_enter(folder: Path, account: Account | None) -> bool:
    """Whether `account` may pass through `folder` and all that lead to it. What doesn't exist yet counts as open."""
    if account is None:
        return True
    folder = folder.absolute()
    return all(_open_to(step, account) for step in [folder, *folder.parents] if step.exists())


def _open_to(folder: Path, account: Account) -> bool:
    status = folder.stat()
    if status.st_uid == account.pw_uid:
        return bool(status.st_mode & 0o100)
    if status.st_gid == account.pw_gid:
        return bool(status.st_mode & 0o010)
    return bool(status.st_mode & 0o001)


def private_folder(folder: Path, account: Account | None) -> Path:
    """Make `folder` if need be, mode 0700, and give it to `account`."""
    folder.mkdir(mode=0o700, exist_ok=True)
    if account is not None:
        os.chown(folder, account.pw_uid, account.pw_gid)
    return folder


def within_reach(binaries: Binaries, account: Account | None) -> Binaries:
    """`binaries`, or a copy of them that `account` can run.

    The copy (about 40 MB, 0.2 s) is named by its content, so that every virtual environment with the same
    server shares one.
    """
    if can_enter(binaries.folder.resolve(), account):
        return binaries
    content = hashlib.sha256((binaries.folder / "postgres").read_bytes()).hexdigest()[:16]
    home = SHARED / "binaries" / f"{binaries.major}-{content}"
    prefix = binaries.folder.resolve().parent
    if not home.exists():
        _copy(prefix, home)
    return Binaries(
        home / prefix.parent.name / prefix.name / "bin",
        binaries.major,
        f"{binaries.origin}, copied",
    )


def _copy(prefix: Path, home: Path) -> None:
    """Copy an installed server to `home`/PARENT/PREFIX: its programs find libraries relative to themselves.

    A wheel's own libraries lie beside its package (`PACKAGE.libs`, Linux) or inside it (`.dylibs`, macOS).
    """
    home.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    making = Path(tempfile.mkdtemp(prefix="making-", dir=home.parent))
    package = prefix.parent
    parts = [prefix / name for name in ("bin", "lib", "lib64", "share")]
    parts += [package.with_name(f"{package.name}.libs"), package / ".dylibs"]
    for part in parts:
        if part.is_dir():
            target = making / part.relative_to(package.parent)
            shutil.copytree(
                part,
                target,
                symlinks=True,
                ignore=shutil.ignore_patterns("*.a", "__pycache__"),
            )
    for folder, _, _ in os.walk(making):
        os.chmod(folder, 0o755)
    try:
        making.rename(home)
    except OSError:  # another process was faster: its copy is the same
        shutil.rmtree(making)
        if not home.exists():
            raise
