"""Producers and workers in each other's way less.

Revision ID: 0006
Revises: 0005

Frozen: a database that took this step never takes it again, so a later change of a table is a step of its own.
"""

from collections.abc import Callable
from pathlib import Path

from alembic.util import CommandError

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade(run: Callable[[str], None]) -> None:
    """Change the tables. run: takes the text of a script, with any number of statements."""
    run(Path(__file__).with_suffix(".sql").read_text(encoding="utf-8"))


def downgrade(**_: object) -> None:
    """There is no way back: it would drop jobs."""
    raise CommandError("pgqueue never drops data, so there is no way back; restore a backup")
