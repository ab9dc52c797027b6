"""${message}

Revision ID: ${up_revision}
Revises: ${down_revision | comma,n}

Frozen once released. Its SQL lies beside it, in a file of the same name: only what brings the tables from the last
step to this one, and the same change in sql/schema. Functions and views are replaced after the last step, from
sql/functions and sql/views; a step only drops those that `create or replace` cannot replace, and `if exists`, because
on an empty database they are not there yet:
    - a view that is gone, or whose columns are renamed, retyped, reordered or fewer
    - a function of the same parameter types whose result or parameter names change
Functions that are gone from sql/functions are dropped without a step.
"""

from collections.abc import Callable
from pathlib import Path

from alembic.util import CommandError

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = ${repr(branch_labels)}
depends_on = ${repr(depends_on)}


def upgrade(run: Callable[[str], None]) -> None:
    """${message}. run: takes the text of a script, with any number of statements."""
    run(Path(__file__).with_suffix(".sql").read_text(encoding="utf-8"))


def downgrade(**_: object) -> None:
    """There is no way back: it would drop jobs."""
    raise CommandError("pgqueue never drops data, so there is no way back; restore a backup")
