"""Where a server lives: long names, closed folders, other majors, throw-away ones."""

import os
import shutil
from pathlib import Path

import psycopg
import pytest
import sqlalchemy

from pgqueue import embedded
from pgqueue.embedded import account, recipe
from tests.embedded.users import wait_until_unlocked, wait_until_unsupervised

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root runs postgres as somebody else")


@pytest.mark.parametrize("name", ["x" * 200, "with, comma", 'blank and "quote"', "Grüße"])
def test_a_folder_may_have_any_name(folder, name):
    """A socket's address holds about a hundred bytes, and libpq splits hosts at commas."""
    home = folder / name
    with embedded.server(home) as dsn, embedded.server(home) as same, psycopg.connect(dsn) as connection:
        assert dsn == same
        assert connection.execute("select 1").fetchone() == (1,)
    wait_until_unsupervised(home)
    if not _home(dsn).is_relative_to(folder):
        shutil.rmtree(_home(dsn))


async def test_every_driver_understands_the_dsn(folder):
    """pgqueue itself speaks psycopg, its users whatever they have."""
    import asyncpg

    with embedded.server(folder) as dsn:
        engine = sqlalchemy.create_engine(dsn.replace("postgresql:", "postgresql+psycopg:"))
        with engine.connect() as connection:
            assert connection.scalar(sqlalchemy.text("select current_database()")) == "pgqueue"
        engine.dispose()

        connection = await asyncpg.connect(dsn)
        assert await connection.fetchval("select current_database()") == "pgqueue"
        await connection.close()


def test_a_throwaway_server_leaves_nothing():
    """Test runs would fill the disk."""
    with embedded.throwaway(settings={"fsync": "off"}) as dsn:
        home = _home(dsn)
        assert (home / "data").is_dir()
    assert not home.exists()


def test_a_throwaway_server_can_be_reached_by_tcp():
    """A proxy that plays a broken network needs a port."""
    with embedded.throwaway(settings={"fsync": "off"}, tcp=True) as dsn, psycopg.connect(dsn) as connection:
        assert connection.info.host == "127.0.0.1"


def test_a_throwaway_server_of_a_killed_process_leaves_nothing(user):
    """Nobody is left to remove it but its supervisor."""
    owner = user("throwaway(settings={'fsync': 'off'})")
    home = _home(owner.dsn)
    with (home / "lock").open("rb+") as lock:
        owner.kill()
        wait_until_unlocked(lock)
    assert not home.exists()


def test_data_of_another_major_are_refused(folder):
    """Postgres can't read them, and its own message does not say what to do."""
    majors = sorted({binaries.major for binaries in embedded.available()})
    if len(majors) < 2:
        pytest.skip("needs binaries of two majors")
    with embedded.server(folder, major=majors[0]):
        pass
    with pytest.raises(embedded.EmbeddedError, match=f"made by Postgres {majors[0]}"):
        embedded.server(folder, major=majors[1]).__enter__()

    with embedded.server(folder) as dsn, psycopg.connect(dsn) as connection:
        assert connection.info.server_version // 10000 == majors[0]


def test_each_major_has_a_folder_of_its_own(monkeypatch, folder):
    """In the user's data folder, as the XDG rules say."""
    monkeypatch.setenv("XDG_DATA_HOME", str(folder))
    assert recipe.default_folder(18, None) == folder / "pgqueue" / "18"


@as_root
def test_for_root_the_default_folder_is_one_that_postgres_may_enter(monkeypatch, tmp_path):
    """Root's own home is closed to everybody else."""
    tmp_path.chmod(0o700)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert recipe.default_folder(18, account.borrowed()) == Path("/var/lib/pgqueue/18")


@as_root
def test_a_closed_folder_is_refused_with_the_way_out(tmp_path):
    """Opening it to others would be a change that nobody asked for."""
    tmp_path.chmod(0o700)
    with pytest.raises(embedded.EmbeddedError, match=r"may not enter .* choose a folder"):
        embedded.server(tmp_path / "mine").__enter__()


@as_root
def test_binaries_out_of_reach_are_copied(monkeypatch, folder):
    """A virtual environment below /root is closed to the account that must run them."""
    closed = folder / "closed"
    open_prefix = embedded.find().folder.parent
    monkeypatch.setattr(account, "SHARED", folder / "shared")
    account._copy(open_prefix, closed)
    (bin_folder,) = closed.glob("*/*/bin")
    closed.chmod(0o700)
    monkeypatch.setenv("PGQUEUE_PG_BIN", str(bin_folder))

    with embedded.server(folder / "server") as dsn, psycopg.connect(dsn) as connection:
        assert connection.execute("select 1").fetchone() == (1,)
    assert closed.stat().st_mode & 0o777 == 0o700
    assert len(list((folder / "shared" / "binaries").iterdir())) == 1
    wait_until_unsupervised(folder / "server")


def _home(dsn: str) -> Path:
    """The folder of a server whose socket is inside it."""
    return Path(psycopg.conninfo.conninfo_to_dict(dsn)["host"]).parent
