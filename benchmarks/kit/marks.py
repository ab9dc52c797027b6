"""Times noted by another process, in a file of fixed records: no connection, no lock, a microsecond each."""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from kit.jobs import MARK


class Marks:
    """One file of marks. env: what the process that notes must be started with."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.env = {"BENCH_MARKS": str(file)}

    def read(self) -> dict[int, int]:
        """Number → nanoseconds of the system's clock."""
        content = self.file.read_bytes()
        return dict(MARK.iter_unpack(content[: len(content) // MARK.size * MARK.size]))

    def wait(self, number: int, seconds: float = 30.0) -> int:
        """The time noted for a number, once it is there."""
        deadline = time.monotonic() + seconds
        while (found := self.read().get(number)) is None:
            if time.monotonic() > deadline:
                raise TimeoutError(f"number {number} was not noted within {seconds:g} s")
            time.sleep(0.005)
        return found


@contextlib.contextmanager
def marks() -> Iterator[Marks]:
    """A file of marks that is gone afterwards."""
    with tempfile.NamedTemporaryFile(suffix=".marks") as file:
        yield Marks(Path(file.name))
