"""A network that can be made bad: a TCP proxy on 127.0.0.1 for each worker, between it and the server.

    with Network("127.0.0.1", port) as network:
        line = network.line()           # connect to line.port
        line.delay = 0.2                # seconds that each piece of data takes, either way
        line.silent = True              # nothing passes, nothing is refused: a half-open connection
        line.strand()                   # the same for the connections there are; new ones pass
        line.reset()                    # all connections end with RST

All lines live in one event loop in a thread of its own; they may be used from any other.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Final, Self

PIECE_BYTES: Final = 65_536
LOOK_AGAIN_SECONDS: Final = 0.02
RST_ON_CLOSE: Final = struct.pack("ii", 1, 0)


class Line:
    """One listening port and the connections made through it. port: set once it listens."""

    def __init__(self, host: str, port: int, loop: asyncio.AbstractEventLoop) -> None:
        self.port = 0
        self.delay = 0.0
        self.silent = False
        self._upstream = (host, port)
        self._loop = loop
        self._server: asyncio.Server
        self._writers: set[asyncio.StreamWriter] = set()
        self._stranded: set[asyncio.StreamWriter] = set()

    async def listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    def close(self) -> None:
        """Listens no more and cuts all connections; to be called in the loop."""
        self._server.close()
        self._reset()

    def heal(self) -> None:
        """As a good network again; what was held back passes."""
        self.delay, self.silent = 0.0, False
        self._stranded = set()

    def strand(self) -> None:
        """Nothing passes any more on the connections there are, and neither end learns of it. New ones are good."""
        self._stranded = set(self._writers)

    def reset(self) -> None:
        """Cuts all connections at once, in both directions."""
        self._loop.call_soon_threadsafe(self._reset)

    def _reset(self) -> None:
        for writer in self._writers:
            plug = writer.get_extra_info("socket")
            with contextlib.suppress(OSError):
                plug.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RST_ON_CLOSE)
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        pair = [writer]
        try:
            await self._passable(writer)
            up_reader, up_writer = await asyncio.open_connection(*self._upstream)
            pair.append(up_writer)
            self._writers.update(pair)
            await asyncio.gather(self._pump(reader, up_writer), self._pump(up_reader, writer))
        except OSError:
            pass  # either end has gone: so does the other
        finally:
            self._writers.difference_update(pair)
            for one in pair:
                one.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while piece := await reader.read(PIECE_BYTES):
                if self.delay:
                    await asyncio.sleep(self.delay)
                await self._passable(writer)
                writer.write(piece)
                await writer.drain()
        finally:
            writer.close()

    async def _passable(self, writer: asyncio.StreamWriter) -> None:
        while self.silent or writer in self._stranded:  # noqa: ASYNC110 - set by other threads, so no event of the loop
            await asyncio.sleep(LOOK_AGAIN_SECONDS)


class Network:
    """The lines to one server."""

    def __init__(self, host: str, port: int) -> None:
        self._upstream = (host, port)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="chaos-network", daemon=True)
        self.lines: list[Line] = []

    def line(self) -> Line:
        line = Line(*self._upstream, self._loop)
        self._do(line.listen())
        self.lines.append(line)
        return line

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._do(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _end(self) -> None:
        for line in self.lines:
            line.close()
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)
