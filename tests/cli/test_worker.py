"""`pgqueue worker`: its options, the import of the application, and a real one that works."""

import inspect
import json
import signal
import sys

import pytest
from psycopg.conninfo import make_conninfo

from pgqueue import client, migrations
from pgqueue.cli import migrate as migrate_command
from pgqueue.cli import worker as worker_command
from pgqueue.cli.worker import slots
from pgqueue.errors import ConfigurationError
from pgqueue.job import Job
from pgqueue.worker import DEFAULT_SLOTS, WorkerOptions

APP = """
import time
from pathlib import Path
from pgqueue import job

@job
def note(text: str) -> None:
    with open("notes.txt", "a") as notes:
        notes.write(text + "\\n")

@job
def hold(path: str) -> None:
    Path("begun").write_text("")
    while not Path(path).exists():
        time.sleep(0.01)

@job(max_attempts=1)
def burst() -> None:
    raise ValueError("no luck")
"""


@pytest.fixture
def app(tmp_path):
    """A module `myjobs` in the command's directory."""
    (tmp_path / "myjobs.py").write_text(APP)
    return tmp_path


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A command in this process has it for its directory; what it imports from there is forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    sys.modules.pop("myjobs", None)


def ended(process):
    """Exit code, stdout and stderr of a process, once it has ended."""
    stdout, stderr = process.communicate(timeout=60)
    return process.returncode, stdout, stderr


@pytest.mark.integration
def test_it_works_what_is_there_and_ends(app, db, process):
    """The quickest way to see anything: enqueue, drain, look."""
    client.enqueue_many(db, [Job("note", {"text": "one"}), Job("note", {"text": "two"}, queue="mail")])
    code, _, log = ended(process("worker", "--app", "myjobs", "--queue", "default", "--queue", "mail:1", "--drain"))

    assert code == 0, log
    assert sorted((app / "notes.txt").read_text().split()) == ["one", "two"]
    assert db.execute("select distinct state from pgqueue.jobs").fetchall() == [("completed",)]


@pytest.mark.integration
@pytest.mark.parametrize("hook", ["", ", on_failed=print"])
def test_who_forgot_the_queues_is_told(tmp_path, process, hook):
    """Nothing would happen, and nothing say why."""
    (tmp_path / "myjobs.py").write_text(f"from pgqueue import job\n@job(queue='billing'{hook})\ndef charge(): ...\n")

    code, _, log = ended(process("worker", "--app", "myjobs", "--drain"))
    assert code == 0, log
    assert "go to other queues, unless they say otherwise; give --queue billing" in log

    _, _, log = ended(process("worker", "--app", "myjobs", "--drain", "--queue", "mail", "--queue", "billing"))
    assert "other queues" not in log


@pytest.mark.integration
def test_its_log_can_be_json(app, db, process):
    """One object a line, with the job's id, kind, attempt and worker."""
    job = client.enqueue(db, Job("burst", max_attempts=1))
    arguments = ("--app", "myjobs", "--drain", "--log-format", "json", "--name", "me")
    code, _, log = ended(process("worker", *arguments))

    assert code == 0, log
    lines = [json.loads(line) for line in log.splitlines()]
    (failed,) = [line for line in lines if line["level"] == "error"]
    assert (failed["id"], failed["kind"], failed["attempt"], failed["worker"]) == (job.id, "burst", 1, "me")


@pytest.mark.integration
def test_a_signal_lets_running_jobs_finish(app, db, process, tmp_path):
    """Exit code 0: nothing went wrong."""
    client.enqueue(db, Job("hold", {"path": "go"}))
    worker = process("worker", "--app", "myjobs")
    while not (app / "begun").exists():
        assert worker.poll() is None, worker.communicate()
    worker.send_signal(signal.SIGTERM)
    while db.execute("select state from pgqueue.workers").fetchall() != [("stopping",)]:
        assert worker.poll() is None, worker.communicate()
    (app / "go").write_text("")

    code, _, log = ended(worker)
    assert code == 0
    assert "worker stopping: a second signal, or 30 s, and what still runs is given back" in log
    assert db.execute("select state from pgqueue.jobs").fetchall() == [("completed",)]


@pytest.mark.integration
@pytest.mark.parametrize(
    ("source", "given", "message"),
    [
        (None, "nojobs", "--app nojobs: there is no module nojobs in "),
        (APP, "myjobs.py", "there is no module myjobs.py in "),
        (APP, "myjobs.py", "; for the file myjobs.py give --app myjobs"),
        (None, "my-jobs.py", "--app 'my-jobs.py' is no module; give its name as in `import`"),
        (APP, "myjobs.more", "--app myjobs.more: there is no module myjobs.more in "),
        (APP, "myjobs:other", "myjobs.py) has no other"),
        ("x = 1", "myjobs", "myjobs.py) defines no job; put @job above a function"),
        ("import nothing_like_it", "myjobs", "ModuleNotFoundError: No module named 'nothing_like_it' (/"),
        ("\n\nx = nothing", "myjobs", "myjobs.py, line 3)"),
        ("from pgqueue import job\n@job(priority=10)\ndef x(): ...", "myjobs", "myjobs.py, line 2)"),
        ("def x(:", "myjobs", "SyntaxError: invalid syntax (/"),
        ("import sys; sys.exit(0)", "myjobs", "SystemExit: 0 (/"),
    ],
)
def test_an_app_that_cannot_be_imported(pgqueue, folder, source, given, message):
    """One line, with the file and the line."""
    if source is not None:
        (folder / "myjobs.py").write_text(source)
    result = pgqueue("worker", "--app", given, "--drain")

    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
    assert "Traceback" not in result.stderr


@pytest.mark.integration
def test_an_object_in_the_module(app, process):
    """`module:object` is checked to be there."""
    code, _, log = ended(process("worker", "--app", "myjobs:note", "--drain"))
    assert code == 0, log


@pytest.mark.integration
def test_another_schema_is_refused(app, db, process):
    """With the command to run."""
    db.execute("update pgqueue.alembic_version set version_num = '0000'")
    code, _, log = ended(process("worker", "--app", "myjobs"))
    assert code == 1
    assert log.splitlines()[-1].endswith("run: pgqueue migrate")
    assert "Traceback" not in log


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["a"], {"a": 7}),
        (["a:3"], {"a": 3}),
        (["a", "b:4"], {"a": 7, "b": 4}),
    ],
)
def test_slots(given, expected):
    """--concurrency counts for the queues that name none."""
    assert slots(given, 7) == expected


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["a:"], "--queue a:: '' is no number of slots"),
        (["a:x"], "'x' is no number of slots"),
        (["a:-1"], "'-1' is no number of slots"),
        (["a:1:2"], "'1:2' is no number of slots"),
        (["a", "a:2"], "--queue a was given twice"),
    ],
)
def test_wrong_slots(given, message):
    """Naming what was given."""
    with pytest.raises(ConfigurationError, match=message):
        slots(given, 7)


@pytest.mark.parametrize(
    "option", [["--queue", "a b"], ["--queue", "a:0"], ["--grace", "-1"], ["--max-jobs", "0"], ["--connections", "0"]]
)
def test_wrong_options(bare, option):
    """Before anything is imported or connected."""
    result = bare("worker", "--app", "nothing", *option)
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (2, "", 1)


def test_the_commands_defaults_are_the_librarys():
    """They are repeated only so that other commands need not load the worker."""
    given = {name: parameter.default for name, parameter in inspect.signature(worker_command.worker).parameters.items()}
    options = WorkerOptions()
    for name in ("drain", "grace", "max_jobs", "max_time", "poll", "connections", "name"):
        assert given[name] == getattr(options, name), name
    assert given["concurrency"] == DEFAULT_SLOTS
    assert migrate_command.DEFAULT_LOCK_TIMEOUT == migrations.LOCK_TIMEOUT


def test_help_comes_in_order(bare):
    """What it does, what signals do, two examples, then options."""
    text = bare("worker", "--help").stdout
    places = [text.index(word) for word in ("Run the jobs", "SIGTERM", "A second", "Examples:", "Options:")]
    assert places == sorted(places)
    assert text.count("pgqueue worker --app") == 2


@pytest.mark.parametrize("group", [[], ["jobs"], ["schedule"], ["unique"], ["queue"]])
def test_lists_of_commands_say_each_to_its_end(bare, group):
    """The first thing a newcomer reads, on a terminal of 80 columns."""
    listed = bare(*group, "--help").stdout.partition("Commands:")[2].strip().splitlines()
    assert listed
    assert not [line for line in listed if line.endswith("...")]


@pytest.mark.integration
@pytest.mark.parametrize(
    ("slip", "told"),
    [
        ({"dbname": "nowhere"}, 'database "nowhere" does not exist'),
        ({"user": "nobody"}, '"nobody"'),  # no such role, or a wrong password: as the server asks for one or not
    ],
)
@pytest.mark.parametrize("where", ["--dsn", "--dsn beside --direct-dsn", "--direct-dsn beside --dsn"])
def test_a_slip_in_the_dsn_ends_it_with_the_reason(app, dsn, process, slip, told, where):
    """Waiting would not mend it, whichever of two it is in. A server that is not there yet is another matter: that one
    is waited for."""
    wrong = make_conninfo(dsn, **slip)
    roads = {
        "--dsn": ["--dsn", wrong],
        "--dsn beside --direct-dsn": ["--dsn", wrong, "--direct-dsn", dsn],
        "--direct-dsn beside --dsn": ["--dsn", dsn, "--direct-dsn", wrong],
    }[where]
    code, _, log = ended(process("worker", "--app", "myjobs", *roads))

    assert code == 1
    (line,) = [line for line in log.splitlines() if line.startswith("pgqueue: ")]
    assert line.startswith("pgqueue: cannot connect: ")
    assert told in line
    assert "Traceback" not in log
