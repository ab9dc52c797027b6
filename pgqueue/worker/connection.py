"""A worker's own connections, and what its log says of them."""

from __future__ import annotations

from typing import Final

from pgqueue import lasting
from pgqueue.calls import Call
from pgqueue.lasting import behind_pooler, conninfo, execute, pauses
from pgqueue.worker.logs import log

__all__ = ["PING", "PING_AFTER", "WHO", "Trouble", "behind_pooler", "conninfo", "execute", "pauses"]

PING: Final[Call[None]] = Call("select 1", {}, lambda rows: None)
"""For a connection that was quiet for long: does anybody answer?"""
PING_AFTER: Final = 15.0
"""Seconds."""
WHO: Final = "select pg_backend_pid(), (select a.backend_start from pg_stat_get_activity(pg_backend_pid()) a)"
"""Asks who answers: process id and start of the server session."""


class Trouble(lasting.Trouble):
    """Says once that a connection is lost and once that it is back. who: lane, bell, steward."""

    def __init__(self, who: str) -> None:
        super().__init__(who, log)
