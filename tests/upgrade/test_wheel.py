"""An installed wheel has all it needs inside."""

import os
import subprocess
import sys
import zipfile

import pytest

from pgqueue import migrations
from pgqueue.calls import SCHEMA_REVISION
from tests.upgrade.conftest import ROOT

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """Folder with what the wheel installs, and nothing of the checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    built = subprocess.run(build, capture_output=True, text=True)
    assert built.returncode == 0, built.stdout + built.stderr
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def test_the_wheel_migrates(installed, empty_dsn, fresh, dump, tmp_path):
    """From an empty folder, without the checkout in reach."""
    code = "import pgqueue.cli; print(pgqueue.cli.__file__); pgqueue.cli.main()"
    environment = os.environ | {"PYTHONPATH": str(installed)}
    command = [sys.executable, "-c", code, "migrate", "--dsn", empty_dsn]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)

    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        str(installed / "pgqueue" / "cli" / "__init__.py"),
        f"schema pgqueue made, revision {SCHEMA_REVISION}",
    ]
    from_checkout = fresh()
    migrations.migrate(from_checkout)
    assert dump(empty_dsn) == dump(from_checkout)


def test_the_wheel_does_not_install_a_package_alembic(installed):
    """It would replace the real one."""
    assert sorted(path.name for path in installed.iterdir() if path.suffix != ".dist-info") == ["pgqueue"]
