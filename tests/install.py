"""The one place that knows how tests get pgqueue's schema into a database."""

import re
from pathlib import Path

import psycopg

ROOT = Path(__file__).resolve().parent.parent
INCLUDE = re.compile(r"^\\ir?\s+(?:'(?P<quoted>[^']+)'|(?P<bare>\S+))\s*$")


def install_schema(dsn: str) -> None:
    """Do what `psql -f sql/install.sql` does, without psql."""
    with psycopg.connect(dsn) as connection:
        connection.execute(expand(ROOT / "sql" / "install.sql").encode())


def expand(file: Path) -> str:
    """The text of `file` with every `\\i` (relative to the repository) and `\\ir` (to the file) in its place.

    Settings of psql (`\\set ON_ERROR_STOP on`, `\\echo …`) have no meaning here and are left out. So are
    `begin` and `commit` on a line of their own: one connection, one transaction.
    """
    return "\n".join(_line(file, line) for line in file.read_text().splitlines())


def _line(file: Path, line: str) -> str:
    if found := INCLUDE.match(line.strip()):
        name = found["quoted"] or found["bare"]
        return expand((file.parent if line.strip().startswith("\\ir") else ROOT) / name)
    if file.name == "install.sql" and re.match(r"^(\\|begin;|commit;)", line.strip(), re.IGNORECASE):
        return ""
    return line
