"""Notices connections that are open here and dead there, within half a minute and without a false alarm.

A network, a proxy or a machine that fails without a word leaves a connection that never answers. The kernel notices it
when nobody acknowledges what it sent (connection.py), but a proxy acknowledges and may pass nothing on.

No deadline can tell a dead connection from a server that is overloaded, or waits for a lock. So once an answer is late
the server is asked, on a new connection: does that session still work on it? While it does, we wait. If it does not,
and a second later still not, the answer was lost, or the question. If nobody can be asked either, the server is out of
reach for this connection too.

In the event loop: while a handler blocks it, answers that nobody reads alarm nobody.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import psycopg
from psycopg.conninfo import make_conninfo

from pgqueue import calls
from pgqueue.worker.connection import conninfo
from pgqueue.worker.link import Link
from pgqueue.worker.logs import fields, log

TICK: Final = 1.0
"""Seconds between looks at the connections. It costs nothing: no statement."""
LATE: Final = 5.0
"""Seconds without an answer after which the server is asked; and between questions while it is only slow."""
OUT_OF_REACH: Final = 10.0
"""Seconds without an answer after which a connection is given up if nobody can be asked."""
UNKNOWN: Final = 20.0
"""Seconds without an answer after which a connection is given up if another one is answered, but nobody can tell what
the session does: behind a pooler, or with track_activities off. What handlers ask is not given up for that."""
ASK_WITHIN: Final = 5
"""Seconds to connect and, once more, to answer. A server that takes longer is overloaded: we ask again."""


class Watch:
    """Over all connections of a worker. links: gives those there are."""

    def __init__(self, links: Callable[[], Iterable[Link]]) -> None:
        self._links = links
        self._idle: dict[Link, float] = {}
        """Links whose session did not work on what they asked at that moment."""

    async def keep(self) -> None:
        """For ever."""
        while True:
            await asyncio.sleep(TICK)
            late = [link for link in self._links() if link.waits_for() > LATE]
            if not late:
                self._idle.clear()
                continue
            roads = {link.dsn for link in late}
            await asyncio.gather(*(self._ask(dsn, [link for link in late if link.dsn == dsn]) for dsn in roads))
            if not self._idle:
                await asyncio.sleep(LATE - TICK)

    async def _ask(self, dsn: str, links: Sequence[Link]) -> None:
        """Asks after links that lead the same way, and hangs up those that are dead."""
        probe = Link("watch", dsn)
        try:
            connection = await psycopg.AsyncConnection.connect(
                make_conninfo(conninfo(dsn, "watch"), connect_timeout=ASK_WITHIN), autocommit=True
            )
        except (psycopg.Error, OSError) as error:
            if "FATAL" not in str(error):  # else there is a server, and it has no connection to spare
                for link in links:
                    if link.waits_for() > (UNKNOWN if link.of_handlers else OUT_OF_REACH):
                        self._hang_up(link)
            return
        alarm = asyncio.get_running_loop().call_later(ASK_WITHIN, probe.hang_up)
        try:
            await probe.meet(connection)
            for link in links:
                if link.session is None or probe.pooled:
                    self._judge(link, None)
                else:
                    self._judge(link, await probe.execute(calls.at_work(*link.session)))
                    if link.of_handlers and link.hung_up:  # it would keep what the handler had locked
                        await probe.execute(calls.end_session(*link.session))
        except (psycopg.Error, OSError):
            return
        finally:
            alarm.cancel()
            await connection.close()

    def _judge(self, link: Link, at_work: bool | None) -> None:
        asked_at = link.asked_at
        if link.waits_for() <= LATE or link.has_answer() or at_work:
            self._idle.pop(link, None)
        elif at_work is None:
            if link.waits_for() > UNKNOWN and not link.of_handlers:
                self._hang_up(link)
        elif self._idle.get(link) != asked_at:
            self._idle[link] = asked_at  # the answer may be on its way: look again
        else:
            self._hang_up(link)

    def _hang_up(self, link: Link) -> None:
        self._idle.pop(link, None)
        link.trouble.why = f"no answer for {link.waits_for():.0f} s, though nobody works on it: the connection was dead"
        if link.of_handlers:
            log.warning("a handler's connection was dead", extra=fields(silent_for=round(link.waits_for())))
        link.hang_up()
