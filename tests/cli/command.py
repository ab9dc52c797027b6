"""A command, called in this process: it does and prints what it would in one of its own, and takes no time to start."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from typer.testing import CliRunner, Result

from pgqueue.cli import app


def called(*arguments: object, environment: Mapping[str, str] | None = None) -> Result:
    """`pgqueue ARGUMENTS`. environment: what differs from this process's."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    try:
        return CliRunner().invoke(app, [str(argument) for argument in arguments], env=environment)
    finally:  # a command sends the log to its stderr, which is closed by now
        root.handlers[:] = handlers
        root.setLevel(level)
