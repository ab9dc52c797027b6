"""Importing the application's module, so that its handlers are registered."""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from types import ModuleType

import pgqueue
from pgqueue.errors import ConfigurationError
from pgqueue.task import registry

_OURS = os.path.dirname(pgqueue.__file__) + os.sep
"""Where what a decorator refuses is raised: of no interest to whoever wrote the decorator."""


def load(app: str) -> None:
    """Import `module` or `module:object`, with the current directory in reach.

    Raises `ConfigurationError` if it cannot be imported, has no such object, or registers no job.
    """
    name, _, attribute = app.partition(":")
    if os.getcwd() not in sys.path:  # a command is started with its own directory there instead
        sys.path.insert(0, os.getcwd())
    module = _module(name)
    found: object = module
    for part in attribute.split(".") if attribute else ():
        if not hasattr(found, part):
            raise ConfigurationError(f"--app {app}: {name} ({_file(module)}) has no {attribute}")
        found = getattr(found, part)
    if not registry:
        raise ConfigurationError(f"--app {app}: {name} ({_file(module)}) defines no job; put @job above a function")


def _module(name: str) -> ModuleType:
    if not name or not all(part.isidentifier() for part in name.split(".")):
        raise ConfigurationError(f"--app {name!r} is no module; give its name as in `import`, such as myapp.jobs")
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and (name == error.name or name.startswith(f"{error.name}.")):
            told = f"--app {name}: there is no module {error.name} in {os.getcwd()} or among the installed packages"
            if name.endswith(".py"):
                told += f"; for the file {name} give --app {name.removesuffix('.py')}"
            raise ConfigurationError(told) from error
        raise ConfigurationError(f"--app {name} cannot be imported: {_reason(error)}") from error
    except (Exception, SystemExit) as error:  # a script that ends itself is no module to import
        raise ConfigurationError(f"--app {name} cannot be imported: {_reason(error)}") from error


def _reason(error: BaseException) -> str:
    """What was raised and where, in the application's own code if it came from there."""
    frames = list(traceback.extract_tb(error.__traceback__))
    frames = [one for one in frames if not one.filename.startswith(_OURS)] or frames
    place = f" ({frames[-1].filename}, line {frames[-1].lineno})" if frames else ""
    if isinstance(error, SyntaxError):  # its place is not where it was raised
        place = f" ({error.filename}, line {error.lineno})"
        return f"SyntaxError: {error.msg}{place}"
    return f"{type(error).__name__}: {error}{place}"


def _file(module: ModuleType) -> str:
    return str(getattr(module, "__file__", None) or "no file")
