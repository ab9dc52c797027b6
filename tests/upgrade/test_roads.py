"""Every road to the schema ends at the same place."""

import os
import subprocess
import sys

import pytest

from pgqueue import migrations
from pgqueue.calls import SCHEMA_REVISION
from tests.upgrade.conftest import ROOT

pytestmark = pytest.mark.integration


def alembic(dsn: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Alembic's own command, as a developer runs it in the checkout."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "alembic", "-x", f"dsn={dsn}", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)


@pytest.fixture
def by_install(fresh, psql):
    """A database made by sql/install.sql, which is what the other roads are held against."""
    dsn = fresh()
    done = psql(dsn, "--file", str(ROOT / "sql" / "install.sql"))
    assert (done.returncode, done.stderr) == (0, "")
    return dsn


def test_migrate_gives_what_install_gives(by_install, fresh, dump):
    """Someone who reads sql/ must be able to trust that it's what runs."""
    migrated = fresh()
    migrations.migrate(migrated)

    assert dump(migrated) == dump(by_install)


def test_the_printed_script_gives_what_install_gives(by_install, fresh, psql, dump):
    """A database administrator runs it where the application has no right to."""
    scripted = fresh()
    done = psql(scripted, input=migrations.script())

    assert (done.returncode, done.stderr) == (0, "")
    assert dump(scripted) == dump(by_install)


def test_alembic_gives_what_install_gives(by_install, fresh, dump):
    """The steps are Alembic's, so its own command must run them too."""
    upgraded = fresh()
    done = alembic(upgraded, "upgrade", "head")

    assert done.returncode == 0, done.stderr
    assert dump(upgraded) == dump(by_install)


def test_alembics_printed_script_gives_what_install_gives(by_install, fresh, psql, dump):
    """The same, without a connection."""
    scripted = fresh()
    done = psql(scripted, "--set", "ON_ERROR_STOP=1", input=alembic("", "upgrade", "head", "--sql").stdout)

    assert (done.returncode, done.stderr) == (0, "")
    assert dump(scripted) == dump(by_install)


def test_migrate_after_install_changes_nothing(by_install, dump):
    """Who began with psql goes on with `pgqueue migrate`."""
    before = dump(by_install)
    assert migrations.migrate(by_install) == migrations.Migrated(before=SCHEMA_REVISION, after=SCHEMA_REVISION)

    assert dump(by_install) == before


def test_the_script_runs_once(fresh, psql, dump):
    """Run twice by mistake it says so and changes nothing."""
    dsn = fresh()
    psql(dsn, input=migrations.script())
    before = dump(dsn)

    again = psql(dsn, input=migrations.script())

    assert again.returncode != 0
    assert again.stderr.count("ERROR") == 1
    assert f"starts from revision none (no schema yet), but the schema pgqueue is at {SCHEMA_REVISION}" in again.stderr
    assert dump(dsn) == before


def test_the_script_from_head_replaces_only_functions_and_views(fresh, psql, dump):
    """A bug fix in a function needs no step."""
    dsn = fresh()
    migrations.migrate(dsn)
    before = dump(dsn)
    script = migrations.script(SCHEMA_REVISION)

    assert "create table pgqueue.job " not in script
    assert psql(dsn, input="drop view pgqueue.workers;" + script).returncode == 0
    assert dump(dsn) == before


def test_there_is_no_way_back(fresh, dump):
    """Undoing the first step would drop every job."""
    dsn = fresh()
    migrations.migrate(dsn)
    before = dump(dsn)

    undone = alembic(dsn, "downgrade", "base")

    assert undone.returncode != 0
    assert "never drops data" in undone.stdout + undone.stderr
    assert dump(dsn) == before
