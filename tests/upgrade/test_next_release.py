"""A release to come: one more step, and functions and views that `create or replace` alone would not bring about."""

import shutil

import psycopg
import pytest

from pgqueue import client, migrations
from pgqueue.calls import SCHEMA_REVISION
from pgqueue.job import Job
from pgqueue.migrations import files
from tests.upgrade.conftest import ROOT

pytestmark = pytest.mark.integration

NEXT = "9999"
STEP = """
alter table pgqueue.job add column colour text;
comment on column pgqueue.job.colour is 'At 100 %, or %s; ''a'':''b'' :name {braces}.';
drop view if exists pgqueue.workers;
drop function if exists pgqueue.lead();
"""


@pytest.fixture
def next_release(tmp_path, monkeypatch):
    """From now on pgqueue is that release."""
    shutil.copytree(ROOT / "sql", tmp_path / "sql")
    shutil.copytree(ROOT / "alembic", tmp_path / "alembic")
    steps, sql = tmp_path / "alembic" / "versions", tmp_path / "sql"
    step = (steps / "0001_foundation.py").read_text()
    step = step.replace('revision = "0001"', f'revision = "{NEXT}"').replace(
        "down_revision = None", f'down_revision = "{SCHEMA_REVISION}"'
    )
    (steps / f"{NEXT}_next.py").write_text(step)
    (steps / f"{NEXT}_next.sql").write_text(STEP)

    def edit(name, *changes):
        text = (sql / name).read_text()
        for before, after in changes:
            assert before in text
            text = text.replace(before, after)
        (sql / name).write_text(text)

    edit(
        "functions/cancel.sql",
        ("reason text default null)", "reason text default null, p_more integer default 0)"),
        ("(bigint, text)", "(bigint, text, integer)"),
    )
    edit("functions/lead.sql", ("returns boolean", "returns text"), ("return exists (", "return 'lead ' || exists ("))
    edit(
        "views/workers.sql", ("w.id, w.name, w.host", "w.id, w.host"), ("comment on column pgqueue.workers.name", "--")
    )
    edit("install.sql", ("\\ir functions/settled.sql\n", ""))
    return lambda: monkeypatch.setattr(files, "_PACKAGE", tmp_path / "pgqueue")


@pytest.fixture(params=["migrate", "printed script"])
def upgrade(request, psql):
    """Both roads from the revision of today."""

    def run(dsn):
        if request.param == "migrate":
            assert migrations.migrate(dsn) == migrations.Migrated(SCHEMA_REVISION, NEXT)
        else:
            done = psql(dsn, input=migrations.script(SCHEMA_REVISION))
            assert (done.returncode, done.stderr) == (0, "")

    return run


def test_an_upgrade_gives_what_a_new_install_gives(dsn, db, fresh, dump, next_release, upgrade):
    """No old overload is left, no view in the way, and no job lost."""
    job = client.enqueue(db, Job("survivor"))
    next_release()
    upgrade(dsn)

    assert db.execute("select id, kind, colour from pgqueue.job").fetchall() == [(job.id, "survivor", None)]
    names = """
        select p.oid::regprocedure::text from pg_proc p
        where p.pronamespace = 'pgqueue'::regnamespace and p.proname in ('cancel', 'settled', 'lead') order by 1
    """
    assert db.execute(names).fetchall() == [("pgqueue.cancel(bigint,text,integer)",), ("pgqueue.lead()",)]
    db.execute("select pgqueue.cancel(%s)", [job.id])  # not unique, if the old one were there as well
    db.execute("delete from pgqueue.job_archive")
    anew = fresh()
    assert migrations.migrate(anew) == migrations.Migrated(None, NEXT)
    with psycopg.connect(anew) as connection:  # the identity went on
        connection.execute("select nextval('pgqueue.job_id_seq')")
    assert dump(dsn) == dump(anew)


def test_what_uses_a_function_that_goes_is_never_dropped(dsn, db, dump, next_release):
    """Your view is yours: the migration is refused, and says what is in its way."""
    db.execute("create view mine as select pgqueue.settled('a')")
    before = dump(dsn)
    next_release()

    with pytest.raises(psycopg.errors.DependentObjectsStillExist, match=r"view mine depends on function pgqueue"):
        migrations.migrate(dsn)

    assert dump(dsn) == before


def test_the_released_code_refuses_what_the_next_one_left(dsn, next_release, monkeypatch):
    """A rollback of the application meets a schema from the future."""
    next_release()
    migrations.migrate(dsn)
    monkeypatch.undo()

    with pytest.raises(migrations.SchemaTooNew, match=f"revision {NEXT}, this code knows only up to {SCHEMA_REVISION}"):
        migrations.migrate(dsn)
