"""How a command fails: one line on stderr that says what is wrong and what to do, and an exit code.

0  done
1  the operation failed: server unreachable, no such job, wrong schema …
2  the command was given something that cannot work
"""

from __future__ import annotations

from typing import Any, NoReturn

import psycopg
import typer
from typer.core import TyperGroup

from pgqueue.connections import translate
from pgqueue.errors import ConfigurationError, InvalidJob, InvalidSchedule, QueueError

OPERATION = 1
USAGE = 2


class Group(TyperGroup):
    """The top of the commands: turns what they raise into a line and an exit code. Bugs keep their traceback."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except (ConfigurationError, InvalidJob, InvalidSchedule) as error:
            fail(str(error), USAGE)
        except (QueueError, psycopg.Error) as error:
            fail(explain(error), OPERATION)


def fail(message: str, code: int) -> NoReturn:
    """End the command."""
    typer.echo(f"pgqueue: {message}", err=True)
    raise typer.Exit(code)


def explain(error: QueueError | psycopg.Error) -> str:
    """What happened, in one line where it is the server's own words."""
    ours = error if isinstance(error, QueueError) else translate(error)
    if ours is not None:
        return str(ours)
    assert isinstance(error, psycopg.Error)
    told = [part for part in (error.diag.message_primary, error.diag.message_hint) if part]
    return one_line(". ".join(told) or str(error))


def one_line(text: str) -> str:
    """libpq spreads its messages over several."""
    return " ".join(text.split())
