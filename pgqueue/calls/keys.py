"""Calls of the SQL functions about unique keys and settings of queues, as `calls` has those about jobs. No I/O here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pgqueue.calls.call import Call, first


def find_unique(scope: str, key: str) -> Call[int | None]:
    """The job that holds a key; None when it is free."""
    sql = "select pgqueue.find_unique(cast(%(scope)s as text), cast(%(key)s as text))"
    return Call(sql, {"scope": scope, "key": key}, first)


def release_unique(scope: str, key: str) -> Call[int | None]:
    """Lets a key go; the answer is the job that held it."""
    sql = "select pgqueue.release_unique(cast(%(scope)s as text), cast(%(key)s as text))"
    return Call(sql, {"scope": scope, "key": key}, first)


def set_queue(name: str, settings: Mapping[str, Any]) -> Call[None]:
    """Changes settings of a queue. settings: as JSON has them; None as a value means the default."""
    sql = "select pgqueue.set_queue(cast(%(name)s as text), cast(%(settings)s as jsonb))"
    return Call(sql, {"name": name, "settings": json.dumps(dict(settings))}, lambda rows: None)
