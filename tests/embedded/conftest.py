"""A folder for a server, and users of it that don't outlive the test."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.embedded.users import User, stop_whatever_is_left


@pytest.fixture
def folder() -> Iterator[Path]:
    """For a server's data; open to the account that root runs postgres as, which pytest's tmp_path is not."""
    home = Path(tempfile.mkdtemp(prefix="pgqueue-test-", dir="/tmp"))
    home.chmod(0o711)
    yield home
    stop_whatever_is_left(home)
    shutil.rmtree(home)


@pytest.fixture
def user(folder: Path) -> Iterator[Callable[..., User]]:
    """Starts a process that uses the server in `folder`, or what else it is told to use."""
    started: list[User] = []

    def start(server: str = f"server(Path({str(folder)!r}))", before: str = "pass") -> User:
        started.append(User(server, before))
        return started[-1]

    yield start
    for one in started:
        one.close()
