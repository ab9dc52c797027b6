"""Any number of processes use one server, and the last of them takes it along, however it ends."""

import os
import signal
import sys

import psycopg
import pytest

from pgqueue import embedded
from tests.embedded.users import children, parent, postmaster, wait_until_ended, wait_until_unsupervised

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc to see who lives")


def test_the_first_user_finds_a_private_and_durable_database(folder):
    """It holds a user's jobs: nobody else reaches it, and nothing committed is lost."""
    with embedded.server(folder) as dsn, psycopg.connect(dsn) as connection:
        assert connection.info.dbname == "pgqueue"
        for setting, value in {"listen_addresses": "", "fsync": "on", "synchronous_commit": "on"}.items():
            assert connection.execute("select current_setting(%s)", [setting]).fetchone() == (value,)
        assert (folder / "data").stat().st_mode & 0o777 == 0o700
        assert (folder / "sockets").stat().st_mode & 0o777 == 0o700


def test_a_second_user_shares_the_server(folder, user):
    """Two servers on one data folder would destroy it."""
    first, second = user(), user()

    assert first.dsn == second.dsn
    assert postmaster(folder) in children(parent(postmaster(folder)))


def test_the_server_outlives_a_user_that_was_not_the_last(folder, user):
    """One terminal closes, the other goes on."""
    first, second = user(), user()
    dsn = first.dsn
    assert second.dsn == dsn
    server = postmaster(folder)

    with psycopg.connect(dsn, autocommit=True) as connection:
        first.kill()
        assert connection.execute("select 1").fetchone() == (1,)
        second.kill()
        wait_until_ended(server)


def test_it_stops_when_all_users_are_killed(folder, user):
    """SIGKILL runs no handler of ours: only the kernel can tell that they are gone."""
    users = [user() for _ in range(3)]
    assert len({one.dsn for one in users}) == 1
    server = postmaster(folder)
    for one in users:
        one.kill()

    wait_until_ended(server)
    wait_until_unsupervised(folder)
    assert not (folder / "data" / "postmaster.pid").exists()
    assert not (folder / "control").exists()


def test_it_stops_when_a_user_leaves_in_order(folder, user):
    """No kill involved: leaving the block is enough."""
    with embedded.server(folder):
        server = postmaster(folder)
    wait_until_ended(server)


def test_a_users_child_does_not_hold_its_lease(folder, user):
    """A forked child has a copy of every open file: a server held by one would run for ever."""
    only = user(before="os.fork() or (sys.stdin.read(), os._exit(0))")
    assert only.dsn
    server = postmaster(folder)
    only.kill()

    wait_until_ended(server)


def test_ten_users_at_once_start_one_server(folder, user):
    """On an empty folder: the one that makes the data must be the only one."""
    users = [user(f"server((sys.stdin.readline(), Path({str(folder)!r}))[1])") for _ in range(10)]
    for one in users:  # all up and waiting for this line
        one.process.stdin.write(b"go\n")
        one.process.stdin.flush()

    assert len({one.dsn for one in users}) == 1
    server = postmaster(folder)
    with embedded.server(folder) as dsn, psycopg.connect(dsn) as connection:
        assert connection.execute("select 1").fetchone() == (1,)
    assert postmaster(folder) == server


def test_a_user_that_comes_while_it_stops_gets_the_next_one(folder, user):
    """It must neither fail nor be served by a server on its way down."""
    first = user()
    assert first.dsn
    server = postmaster(folder)
    os.kill(parent(server), signal.SIGTERM)

    with embedded.server(folder) as dsn, psycopg.connect(dsn) as connection:
        assert connection.execute("select 1").fetchone() == (1,)
        assert postmaster(folder) != server


def test_what_was_committed_is_there_next_time(folder):
    """It is a data folder, not a cache."""
    with embedded.server(folder) as dsn, psycopg.connect(dsn) as connection:
        connection.execute("create table kept as select 42 as answer")
    wait_until_unsupervised(folder)

    with embedded.server(folder) as dsn, psycopg.connect(dsn) as connection:
        assert connection.execute("select answer from kept").fetchone() == (42,)
