"""A worker's own connections, and what its log says of them."""

from __future__ import annotations

from typing import Final

from pgqueue import lasting
from pgqueue.calls import Call
from pgqueue.lasting import behind_pooler, conninfo, execute, pauses
from pgqueue.worker.logs import log

__all__ = ["PING", "PING_AFTER", "WHO", "Trouble", "behind_pooler", "conninfo", "execute", "pauses", "refused"]

PING: Final[Call[None]] = Call("select 1", {}, lambda rows: None)
"""For a connection that was quiet for long: does anybody answer?"""
PING_AFTER: Final = 15.0
"""Seconds."""
WHO: Final = """select pg_backend_pid(), (select a.backend_start from pg_stat_get_activity(pg_backend_pid()) a),
    case when pg_backend_pid() = %(pid)s then array[
        set_config('tcp_keepalives_idle', '10', false), set_config('tcp_keepalives_interval', '5', false),
        set_config('tcp_keepalives_count', '3', false),
        case when %(reads)s then set_config('tcp_user_timeout', '20000', false) end
    ] end"""
"""Asks who answers: process id and start of the server session. pid: the process id that the connection was told.

If they are the same the session is ours, and from now on the server notices within half a minute that this machine has
vanished, not after the kernel's two hours: until then it would keep the locks by which we live, lead and sleep.

reads: whether answers are always read soon, as by a thread. Then one that nobody acknowledges ends the session too.
Elsewhere it must not: to the kernel an event loop that is blocked, and has its buffer full, looks the same.
"""

_REFUSED: Final = (
    "does not exist",
    "password authentication failed",
    "no password supplied",
    "no pg_hba.conf entry",
    "no such database",
    "no such user",
)
"""Words of a server that will not let us in whatever we do: libpq keeps only text of an error while connecting."""


def refused(error: BaseException) -> bool:
    """Whether every host that was tried refused us for good: no such database or role, a wrong password."""
    _, *tried = str(error).split("\n- host:")
    return all(any(words in told for words in _REFUSED) for told in tried or [str(error)])


class Trouble(lasting.Trouble):
    """Says once that a connection is lost and once that it is back. who: lane, bell, steward."""

    def __init__(self, who: str) -> None:
        super().__init__(who, log)
