"""The Postgres that tests run on: one per session, shared by all xdist workers.

Taken from, in this order:

1. `PGQUEUE_TEST_DSN`: a server that runs already; its role must be allowed to create databases
2. testcontainers, if a Docker engine answers; image `PGQUEUE_TEST_IMAGE`, by default postgres:18
3. binaries at hand (`pgqueue.embedded`); of major `PGQUEUE_TEST_MAJOR`, by default the preferred one

`PGQUEUE_TEST_REQUIRE`, one of `dsn`, `testcontainers`, `binaries`, makes taking any other road an error, and
`PGQUEUE_TEST_MAJOR` any other major.
"""

import contextlib
import gc
import os
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psycopg

from pgqueue import embedded

if TYPE_CHECKING:
    from testcontainers.community.postgres import PostgresContainer

IMAGE = "postgres:18"

# A crash of the machine may cost a test server its data: nobody will miss them. Without autovacuum no statistics
# change by chance. Some drops of a database waited a minute on Postgres 15. That is how long a client may stay half-way
# in, and a session that logs in lets no drop pass; so nobody stays there for that long.
SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "max_connections": "200",
    "autovacuum": "off",
    "authentication_timeout": "15s",
}


class NoServer(Exception):
    """This road leads nowhere; the message says why."""


@dataclass(frozen=True)
class Server:
    """A running server.

    dsn:    a superuser's, on any database of it.
    road:   `dsn`, `testcontainers` or `binaries`.
    story:  for the header of the test run: what was taken, and why not what would have come before it.
    """

    dsn: str
    road: str
    story: str


def start(cleanup: contextlib.ExitStack) -> Server:
    """Start the session's server, to be stopped by `cleanup`. Raises `NoServer` with all reasons."""
    required = os.environ.get("PGQUEUE_TEST_REQUIRE")
    roads = {"dsn": _given, "testcontainers": _container, "binaries": _binaries}
    reasons = []
    for road, take in roads.items():
        if required not in (None, "", road):
            continue
        try:
            dsn, what = cleanup.enter_context(take())
        except NoServer as reason:
            reasons.append(str(reason))
        else:
            return Server(dsn, road, "; ".join([f"{_version(dsn)}, {what}", *reasons]))
    insisted = f" (PGQUEUE_TEST_REQUIRE={required})" if required else ""
    raise NoServer(f"no Postgres to test on{insisted}: {'; '.join(reasons) or 'no such road'}")


def _version(dsn: str) -> str:
    """What the server says of itself. Raises `NoServer` if it isn't of the major that was asked for."""
    with psycopg.connect(dsn) as connection:
        number = connection.info.server_version
    wanted = os.environ.get("PGQUEUE_TEST_MAJOR")
    if wanted and int(wanted) != number // 10000:
        raise NoServer(f"the server taken is Postgres {number // 10000}, but PGQUEUE_TEST_MAJOR={wanted}")
    return f"{number // 10000}.{number % 10000}"


@contextlib.contextmanager
def _given() -> Iterator[tuple[str, str]]:
    dsn = os.environ.get("PGQUEUE_TEST_DSN")
    if not dsn:
        raise NoServer("PGQUEUE_TEST_DSN is not set")
    yield dsn, "the server of PGQUEUE_TEST_DSN"


@contextlib.contextmanager
def _container() -> Iterator[tuple[str, str]]:
    image = os.environ.get("PGQUEUE_TEST_IMAGE", IMAGE)
    with _unheard_warnings():
        container, problem = _start_container(image)
    if container is None:
        raise NoServer(problem)
    try:
        yield container.get_connection_url(), f"testcontainers, image {image}"
    finally:
        with _unheard_warnings():
            container.stop()


def _start_container(image: str) -> tuple["PostgresContainer | None", str]:
    """A started container, or None and why there is none."""
    try:
        from testcontainers.community.postgres import PostgresContainer
        from testcontainers.core.docker_client import DockerClient

        engine = DockerClient().client
        engine.ping()
        engine.close()
    except ImportError as error:
        return None, f"testcontainers can't be imported ({error})"
    except Exception:  # whatever the client's layers raise: an engine that answers raises nothing
        return None, "no Docker engine answers"
    command = ["postgres", *(part for name, value in SETTINGS.items() for part in ("-c", f"{name}={value}"))]
    container = PostgresContainer(image, driver=None).with_command(command)
    try:
        return container.start(), ""
    except Exception as error:
        with contextlib.suppress(Exception):
            container.stop()
        return None, f"a Docker engine answers, but the image {image} can't be used: {error}"


@contextlib.contextmanager
def _unheard_warnings() -> Iterator[None]:
    """The Docker client leaves sockets open and uses what is deprecated; our tests take a warning for an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        finally:
            gc.collect()  # what it left open complains now, unheard


@contextlib.contextmanager
def _binaries() -> Iterator[tuple[str, str]]:
    major = os.environ.get("PGQUEUE_TEST_MAJOR")
    try:
        found = embedded.find(int(major) if major else None)
        server = embedded.throwaway(major=found.major, settings=SETTINGS)
        dsn = server.__enter__()
    except embedded.EmbeddedError as error:
        raise NoServer(str(error)) from error
    with contextlib.ExitStack() as leaving:
        leaving.push(server.__exit__)
        yield dsn, f"a server of our own from {found.origin}"
