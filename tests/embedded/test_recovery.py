"""Whatever is killed, nothing runs on for ever and the next user gets a working server."""

import os
import signal
import sys

import psycopg
import pytest

from pgqueue import embedded
from tests.embedded.users import children, parent, postmaster, wait_until_ended, wait_until_unsupervised

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc to see who lives")


@pytest.fixture
def used(folder, user):
    """A server with a user and one committed row; the process numbers of postgres and of its supervisor."""
    with psycopg.connect(user().dsn) as connection:
        connection.execute("create table kept as select 42 as answer")
    server = postmaster(folder)
    return server, parent(server)


def assert_recovers(folder):
    with embedded.server(folder) as dsn, psycopg.connect(dsn) as connection:
        assert connection.execute("select answer from kept").fetchone() == (42,)


def test_a_killed_supervisor_takes_the_server_along(folder, used):
    """Nobody would be left to stop it."""
    server, supervisor = used
    os.kill(supervisor, signal.SIGKILL)
    wait_until_ended(server)

    assert_recovers(folder)


def test_the_next_user_need_not_wait_for_that(folder, used):
    """It comes while the server of the killed supervisor is still stopping."""
    server, supervisor = used
    os.kill(supervisor, signal.SIGKILL)

    assert_recovers(folder)
    assert postmaster(folder) != server


def test_an_orphan_is_stopped_by_the_next_user(folder, used):
    """Supervisor and watchdog both killed: the server lives, and its data folder must not get a second one."""
    server, supervisor = used
    guards = [supervisor, *(child for child in children(supervisor) if child != server)]
    for guard in guards:
        os.kill(guard, signal.SIGKILL)
    for guard in guards:
        wait_until_ended(guard)

    assert_recovers(folder)
    wait_until_ended(server)


def test_everything_killed_at_once_recovers(folder, used):
    """As when the machine loses its power: a stale postmaster.pid and a stale control socket are left."""
    server, supervisor = used
    os.kill(supervisor, signal.SIGSTOP)  # or it would react to the first death
    for pid in (*children(supervisor), supervisor):
        os.kill(pid, signal.SIGKILL)
    wait_until_ended(server)

    assert (folder / "data" / "postmaster.pid").exists()
    assert_recovers(folder)


def test_a_crashed_server_comes_back_for_its_users(folder, used):
    """Those who hold a lease would otherwise wait for a server that nobody starts.

    A backend that is busy does not notice at once, and until it does Postgres refuses to start.
    """
    server, supervisor = used
    with embedded.server(folder) as dsn, psycopg.connect(dsn, autocommit=True) as busy:
        busy.pgconn.send_query(b"select sum(i) from generate_series(1, 5000000) i")
        os.kill(server, signal.SIGKILL)
        wait_until_ended(server)
        wait_until_ended(busy.info.backend_pid)
        busy.close()

        assert_recovers(folder)
        assert parent(postmaster(folder)) == supervisor


def test_a_first_start_that_was_cut_short_begins_anew(folder):
    """Half a data folder looks like a whole one to Postgres, and would fail on every later start."""
    (folder / "data.making").mkdir()
    (folder / "data.making" / "PG_VERSION").write_text("18\n")

    with embedded.server(folder) as dsn, psycopg.connect(dsn) as connection:
        assert connection.execute("select 1").fetchone() == (1,)


def test_a_server_that_can_not_start_says_why_and_leaves_nothing(folder):
    """The reason is in its log, where nobody would look first."""
    with pytest.raises(embedded.EmbeddedError, match=r"(?s)exit code 1;.*shared_buffers.*nonsense"):
        embedded.server(folder, settings={"shared_buffers": "nonsense"}).__enter__()
    wait_until_unsupervised(folder)

    with embedded.server(folder) as dsn, psycopg.connect(dsn) as connection:
        assert connection.execute("select 1").fetchone() == (1,)
