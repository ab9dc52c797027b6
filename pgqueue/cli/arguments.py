"""Values that several commands take, read from their text."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from pgqueue.errors import ConfigurationError


def json_object(text: str) -> dict[str, Any]:
    """Keyword arguments of a handler, as --args gives them. Raises `ConfigurationError`."""
    example = """give an object like '{"invoice_id": 42}'"""
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        near = text[error.pos : error.pos + 20]
        place = f"at {near!r}" if near else "at its end"
        raise ConfigurationError(
            f"--args is no JSON: {error.msg} {place}, line {error.lineno} column {error.colno}; {example}"
        ) from error
    if not isinstance(value, dict):
        raise ConfigurationError(f"--args is a JSON {type(value).__name__}; {example}")
    return value


def moment(option: str, text: str | None) -> datetime | None:
    """A moment with its time zone; None for none. Raises `ConfigurationError`, naming the option."""
    example = "give ISO 8601 with a time zone, like 2026-01-31T12:00:00+01:00 or …Z"
    try:
        found = None if text is None else datetime.fromisoformat(text)
    except ValueError as error:
        raise ConfigurationError(f"{option} {text!r} is no time; {example}") from error
    if found is not None and found.utcoffset() is None:
        raise ConfigurationError(f"{option} {text!r} has no time zone, so it names no moment; {example}")
    return found
