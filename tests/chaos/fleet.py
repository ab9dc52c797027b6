"""Worker processes that are replaced the moment they are gone, as a supervisor would."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.chaos import ledger
from tests.chaos.handlers import EXIT_CODE
from tests.chaos.proxy import Line, Network

ROOT: Final = Path(__file__).parents[2]
SUICIDES: Final = (EXIT_CODE, -signal.SIGSEGV)
"""Exit codes of workers that one of their own handlers killed."""
LEAVES_WITHIN_SECONDS: Final = 30.0
"""A worker that was told to stop, whatever state the server and the network are in."""


@dataclass
class Life:
    """One worker process. Moments are seconds since the epoch, None if it never came to that."""

    name: str
    line: Line
    log: Path
    process: subprocess.Popen[bytes]
    stop_at: float | None = None
    """When it was told to stop, by SIGTERM."""
    kill_at: float | None = None
    """When it was killed, by SIGKILL."""
    frozen: bool = False
    gone_at: float | None = None
    complaints: list[str] = field(default_factory=list)

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def ends_at(self) -> float | None:
        """When it was told to stop, was killed, or was seen to have gone; None while nobody wants its end."""
        return min((at for at in (self.stop_at, self.kill_at, self.gone_at) if at is not None), default=None)

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def look(self, now: float) -> bool:
        """Whether it has ended. Notes a complaint if that was not its time, or if it is late."""
        code = self.process.poll()
        if code is None:
            if self.stop_at is not None and now > self.stop_at + LEAVES_WITHIN_SECONDS:
                self.complaints.append(f"{self.name} did not end within {LEAVES_WITHIN_SECONDS:.0f} s of SIGTERM")
                self.kill_at = now
                self.signal(signal.SIGKILL)
            return False
        self.gone_at = now
        if not self._meant(code):
            self.complaints.append(f"{self.name} ended by itself with {code}; see {self.log}")
        return True

    def _meant(self, code: int) -> bool:
        """Whether somebody wanted it to end, and it ended as it should."""
        if code in SUICIDES:
            return True
        if self.stop_at is not None:  # a signal that comes before the worker has started ends Python
            return code == 0 or (code == -signal.SIGTERM and not self.log.stat().st_size) or self.kill_at is not None
        return code == -signal.SIGKILL and self.kill_at is not None


class Fleet:
    """As many workers as it has lines to the server. Used by several threads."""

    def __init__(self, dsn: str, ledger_dsn: str, network: Network, size: int, folder: Path) -> None:
        """dsn: how to reach the server's database, with {port} in place of the port."""
        self._dsn = dsn
        self._environment = {**os.environ, ledger.DSN: ledger_dsn}
        self._folder = folder
        self._lock = threading.Lock()
        self.lives: list[Life] = []
        """All that ever were."""
        self._posts: list[Life] = [self._start(network.line()) for _ in range(size)]

    def working(self) -> list[Life]:
        """Those that work now, neither frozen nor about to end."""
        with self._lock:
            return [life for life in self._posts if not life.frozen and life.ends_at is None]

    def tend(self) -> None:
        """Replaces those that ended or were told to."""
        now = time.time()
        with self._lock:
            for life in self.lives:
                if life.gone_at is None:
                    life.look(now)
            for number, life in enumerate(self._posts):
                if life.ends_at is not None:
                    self._posts[number] = self._start(life.line)

    def kill(self, life: Life) -> None:
        life.kill_at = time.time()
        life.signal(signal.SIGKILL)

    def stop(self, life: Life) -> None:
        life.stop_at = time.time()
        life.signal(signal.SIGTERM)

    def disband(self) -> None:
        """Tells all to stop and waits for it; kills who does not."""
        with self._lock:
            for life in self.lives:
                if life.gone_at is None and life.stop_at is None:
                    life.signal(signal.SIGCONT)
                    self.stop(life)
            while any(life.gone_at is None and not life.look(time.time()) for life in self.lives):
                time.sleep(0.05)

    @property
    def complaints(self) -> list[str]:
        return [complaint for life in self.lives for complaint in life.complaints]

    def _start(self, line: Line) -> Life:
        name = f"chaos-{len(self.lives) + 1}"
        log = self._folder / f"{name}.log"
        with log.open("wb") as stderr:
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.chaos.worker", self._dsn.format(port=line.port), name],
                cwd=ROOT,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stderr=stderr,
            )
        life = Life(name, line, log, process)
        self.lives.append(life)
        return life
