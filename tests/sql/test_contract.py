"""What holds for every function, table and view: it explains itself, and lies where its name says."""

import re

import pytest

from tests.install import ROOT
from tests.sql.verbs import rows, values

FUNCTIONS = sorted((ROOT / "sql" / "functions").glob("*.sql"))
VIEWS = sorted((ROOT / "sql" / "views").glob("*.sql"))
INSTALL = (ROOT / "sql" / "install.sql").read_text()
OVERLOADS = {"enqueue_plain": "enqueue"}
"""Files of a second function of a name. Each needs tests that no call is ambiguous."""


def of_each(files):
    return pytest.mark.parametrize("file", files, ids=lambda file: file.stem)


@of_each(FUNCTIONS)
def test_a_file_defines_exactly_the_function_of_its_name(file):
    """Who looks for a verb finds it at the first try."""
    name = OVERLOADS.get(file.stem, file.stem)
    assert re.findall(r"create or replace function (\S+?)\(", file.read_text()) == [f"pgqueue.{name}"]


@of_each(VIEWS)
def test_a_file_defines_exactly_the_view_of_its_name(file):
    """The same for views."""
    assert re.findall(r"create or replace view (\S+)", file.read_text()) == [f"pgqueue.{file.stem}"]


@of_each([*FUNCTIONS, *VIEWS, *sorted((ROOT / "sql" / "schema").glob("*.sql"))])
def test_every_file_is_in_the_table_of_contents_once(file):
    """One that is not would be missing from what people install by hand."""
    assert INSTALL.count(f"\\ir {file.parent.name}/{file.name}\n") == 1


def test_the_table_of_contents_lists_nothing_else():
    """A file that was removed would break the installation."""
    listed = re.findall(r"^\\ir (\S+)$", INSTALL, re.MULTILINE)

    assert [name for name in listed if not (ROOT / "sql" / name).is_file()] == []


@of_each(FUNCTIONS)
def test_every_test_file_of_a_verb_is_found_by_its_name(file):
    """tests/sql mirrors sql/functions."""
    together = {
        "attach": "register",
        "leave": "register",
        "settled": "park",
        "asleep": "forget_sleepers",
        "unpark": "park",
        "nobody_sleeps": "wake",
        "is_kind": "check_job",
        "is_queue": "check_job",
        "are_args": "check_job",
        "check_worker": "exchange",
        "refuse_state": "cancel",
        "end_waiting": "cancel",
        "check_schedule": "schedule",
        "pause_schedule": "schedule",
        "resume_schedule": "schedule",
        "remove_schedule": "schedule",
        "refuse_schedule": "schedule",
        "run_schedule": "fire",
        "enqueue_run": "fire",
        "due_schedules": "fire",
        "plan_schedule": "fire",
        "prune_schedules": "declare",
        "check_unique": "enqueue_unique",
        "enqueue_each": "enqueue_many",
        "try_key": "take_key",
        "key_holder": "take_key",
        "job_now": "take_key",
        "lock_waiting": "take_key",
        "lives": "take_key",
        "release_unique": "find_unique",
        "start_waiting": "follow",
        "refuse_claim": "once",
        "recall": "once",
    }
    assert (ROOT / "tests" / "sql" / f"test_{together.get(file.stem, file.stem)}.py").is_file()


@pytest.mark.integration
def test_every_function_opens_with_its_contract(db):
    """Inside the body, so that \\sf shows it on a live server."""
    bodies = rows(db, "select p.proname, p.prosrc from pg_proc p where p.pronamespace = 'pgqueue'::regnamespace")

    assert sorted(name for name, _ in bodies) == sorted(OVERLOADS.get(file.stem, file.stem) for file in FUNCTIONS)
    for name, body in bodies:
        header = body.partition("\n")[2].split("\n\n")[0]
        assert header.startswith(f"-- {name}("), name
        assert " → " in header.splitlines()[0], name
        for part in ("Writes", "Called by"):
            assert re.search(rf"^-- {part} ", header, re.MULTILINE), f"{name}: {part}"


@pytest.mark.integration
def test_whatever_raises_or_locks_says_so(db):
    """A caller has to know what it must catch, and what it may have to wait for."""
    bodies = rows(db, "select p.proname, p.prosrc from pg_proc p where p.pronamespace = 'pgqueue'::regnamespace")

    for name, body in bodies:
        if "errcode = 'PQ" in body:
            assert re.search(r"^-- Raises +.*PQ\d\d\d", body, re.MULTILINE), name
        if "advisory" in re.sub("^--.*$", "", body, flags=re.MULTILINE):
            assert re.search(r"^-- Locks ", body, re.MULTILINE), name


@pytest.mark.integration
def test_a_function_of_one_expression_becomes_part_of_its_callers_statement(db):
    """In a hot verb a call of its own would cost more than what it saves to write."""
    functions = rows(
        db,
        """select p.proname as name, format_type(p.proargtypes[0], null) as type
           from pg_proc p join pg_language l on l.oid = p.prolang
           where p.pronamespace = 'pgqueue'::regnamespace and l.lanname = 'sql' and p.pronargs = 1 order by 1""",
    )
    db.execute("create temporary table given (value text, json jsonb)")

    assert [function.name for function in functions] == ["are_args", "is_kind", "is_queue", "nobody_sleeps"]
    for name, type in functions:
        plan = rows(db, f"explain (verbose) select pgqueue.{name}({'json' if type == 'jsonb' else 'value'}) from given")
        assert name not in str(plan), plan


@pytest.mark.integration
def test_every_table_view_function_and_column_has_a_comment(db):
    """\\d+ is the first documentation that anybody on call reads."""
    db.execute("select pgqueue.maintain()")

    relations = values(
        db,
        """select c.relname from pg_class c
           where c.relnamespace = 'pgqueue'::regnamespace and c.relkind in ('r', 'p', 'v')
               and obj_description(c.oid, 'pg_class') is null""",
    )
    columns = values(
        db,
        """select c.relname || '.' || a.attname from pg_attribute a join pg_class c on c.oid = a.attrelid
           where c.relnamespace = 'pgqueue'::regnamespace and c.relkind in ('r', 'p', 'v') and not c.relispartition
               and a.attnum > 0 and not a.attisdropped and col_description(c.oid, a.attnum) is null""",
    )
    functions = values(
        db,
        """select p.oid::regprocedure::text from pg_proc p
           where p.pronamespace = 'pgqueue'::regnamespace and obj_description(p.oid, 'pg_proc') is null""",
    )
    assert (relations, columns, functions) == ([], [], [])


@pytest.mark.integration
def test_nothing_but_our_own_is_in_the_schema(db):
    """No type, operator or helper that an upgrade would have to know of; and one function of each name, or a call with
    defaults would be ambiguous, but for the one that tests/sql/test_enqueue_plain.py is about."""
    twice = values(
        db,
        """select p.proname from pg_proc p where p.pronamespace = 'pgqueue'::regnamespace
           group by p.proname having count(*) > 1""",
    )
    types = values(
        db,
        """select t.typname from pg_type t
           where t.typnamespace = 'pgqueue'::regnamespace and t.typtype not in ('c', 'b')""",
    )
    triggers = values(
        db,
        """select t.tgname from pg_trigger t join pg_class c on c.oid = t.tgrelid
           where c.relnamespace = 'pgqueue'::regnamespace""",
    )
    assert (twice, types, triggers) == (sorted(OVERLOADS.values()), [], [])


@pytest.mark.integration
def test_no_column_that_a_claim_writes_is_indexed(db):
    """It would end the HOT update, and with it half the speed."""
    indexed = values(
        db,
        """select distinct a.attname
           from pg_index i join pg_attribute a on a.attrelid = i.indrelid and a.attnum = any (i.indkey)
           where i.indrelid = 'pgqueue.job'::regclass order by 1""",
    )
    assert not set(indexed) & {"worker", "claimed_at", "claims", "attempt"}
    assert indexed == ["expires_at", "id", "priority", "queue", "run_at"]
