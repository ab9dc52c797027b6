"""pgqueue demo, as people run it: a process with processes of its own."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from pgqueue.cli.demo import proof
from pgqueue.cli.demo.command import again

pytestmark = pytest.mark.integration

Start = Callable[[str], subprocess.Popen[str]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts `pgqueue demo`; what still runs at the end is killed."""
    started: list[subprocess.Popen[str]] = []

    def start(dsn: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "pgqueue", "demo", "--dsn", dsn, "--folder", str(tmp_path)]
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"NO_COLOR": "1"},
            preexec_fn=_hear_interrupts,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def _hear_interrupts() -> None:
    """A shell script that starts the tests in the background has SIGINT ignored, and all that is started below it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def read_until(process: subprocess.Popen[str], words: str) -> None:
    """Wait for a line of its output."""
    assert process.stdout is not None
    for line in process.stdout:
        if words in line:
            return
    _, errors = process.communicate()
    pytest.fail(f"it ended with {process.returncode} and never said {words!r}: {errors}")


def claims(dsn: str, folder: Path) -> list[proof.Claim]:
    with psycopg.connect(dsn) as connection:
        return proof.claims(connection, folder / "receipts")


def broken(found: list[proof.Claim]) -> list[str]:
    return [claim.text for claim in found if not claim.holds]


def test_it_proves_what_it_claims(start, empty_dsn, tmp_path):
    """From an empty database to the last job, with a murder; and the proof is one: it fails when something is wrong."""
    output, errors = start(empty_dsn).communicate(timeout=120)

    assert "Everything held." in output, output + errors
    assert "was killed with SIGKILL while it held" in output
    assert "12 malformed orders were rolled back" in output
    assert str(tmp_path / "receipts" / "index.html") in output
    assert "Desk lamp" in "".join(file.read_text() for file in (tmp_path / "receipts").glob("R-*.html"))
    assert broken(claims(empty_dsn, tmp_path)) == []

    with psycopg.connect(empty_dsn) as connection:
        connection.execute("delete from billing_demo.charge where order_number = 'R-00001'")
        connection.execute("select pgqueue.enqueue('charge', '{}', queue => 'demo-billing')")
    (tmp_path / "receipts" / "R-00002.html").unlink()
    assert broken(claims(empty_dsn, tmp_path)) == [
        "jobs that belong to no order",
        "each committed order is charged exactly once, but for the declined card",
        "jobs still waiting or running",
        "each committed order has a receipt on disk",
    ]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_it_leaves_nothing_behind_when_interrupted(start, empty_dsn, number, code):
    """No worker goes on, no job waits for ever in somebody's database."""
    process = start(empty_dsn)
    read_until(process, "was killed with SIGKILL")
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)

    assert process.returncode == code, errors
    with psycopg.connect(empty_dsn) as connection:
        states = dict(connection.execute("select name, state from pgqueue.workers where state <> 'dead'").fetchall())
        waiting = connection.execute("select count(*) from pgqueue.job where worker is null").fetchone()
    assert states.get("demo-1", "still starting") in ("stopped", "still starting")
    assert waiting == (0,)


def test_two_demos_do_not_share_a_database(start, empty_dsn):
    """The second would drop the tables under the first."""
    with psycopg.connect(empty_dsn, autocommit=True) as first:
        first.execute("select pg_advisory_lock(hashtext('pgqueue demo'), 0)")
        process = start(empty_dsn)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "another demo is running on this database" in errors


@pytest.mark.parametrize(
    ("called", "told"), [(".venv/bin/pgqueue", ".venv/bin/pgqueue"), ("__main__.py", f"{sys.executable} -m pgqueue")]
)
def test_its_last_line_can_be_typed_where_nothing_is_on_the_path(tmp_path, monkeypatch, called, told):
    """As `make demo` leaves a newcomer."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "argv", [called, "demo"])
    script = tmp_path / ".venv" / "bin" / "pgqueue"
    script.parent.mkdir(parents=True)
    script.touch(mode=0o755)
    assert again() == told

    (tmp_path / "pgqueue").touch(mode=0o755)
    assert again() == "pgqueue"
