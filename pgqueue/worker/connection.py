"""A worker's own connections, and what its log says of them."""

from __future__ import annotations

from pgqueue import lasting
from pgqueue.lasting import behind_pooler, conninfo, execute, pauses
from pgqueue.worker.logs import log

__all__ = ["Trouble", "behind_pooler", "conninfo", "execute", "pauses"]


class Trouble(lasting.Trouble):
    """Says once that a connection is lost and once that it is back. who: lane, bell, steward."""

    def __init__(self, who: str) -> None:
        super().__init__(who, log)
