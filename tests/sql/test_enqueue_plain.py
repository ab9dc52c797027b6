"""enqueue of nothing but kind and args: a function of its own, which nobody has to know of.

Two functions of one name and overlapping parameters: which of them Postgres takes, and that it always takes one, is
part of what callers rely on.
"""

from typing import Any

import asyncpg
import psycopg
import pytest
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from pgqueue import Job, calls
from tests.sql.bells import heard, listener
from tests.sql.verbs import live, row, rows, value, values

pytestmark = pytest.mark.integration

TEXTS = ["text", "varchar", "varchar(9)", "name", "char(9)", "word"]
"""All that a column with names may be; `word` is a domain."""

PLAIN = [
    "'k', '{}'",
    "'k'",
    "null",
    "'k', null",
    "kind => 'k', args => '{}'",
    "args => '{}', kind => 'k'",
    "'k', args => '{}'",
    "kind => 'k'",
    "cast('k' as text), cast('{}' as jsonb)",
    "lower('K'), jsonb_build_object('a', 1)",
    "current_user",
]
FULL = [
    "'k', '{}', 'mail'",
    "'k', '{}', queue => 'mail'",
    "'k', queue => 'mail'",
    "kind => 'k', priority => 1",
    "delay => '1 hour', kind => 'k'",
    "null, queue => null",
    "'k', '{}', 'mail', 1, null, '1 hour'",
    "current_user, unique_key => 'a'",
]


def taken(db: psycopg.Connection, query: str, params: Any = None) -> str:
    """Which of the two a query calls, by the parameters that Postgres puts into the plan."""
    plan = str(db.execute(f"explain (verbose) {query}", params).fetchall())
    assert "pgqueue.enqueue(" in plan
    return "full" if "NULL::interval" in plan else "plain"


@pytest.fixture
def words(db):
    """A column of each type of text."""
    db.execute("create domain word as text")
    columns = ", ".join(f'"{type}" {type}' for type in TEXTS)
    db.execute(f"create temporary table words ({columns}, args jsonb)")
    db.execute(f"insert into words values ({', '.join(['%s'] * len(TEXTS))}, '{{}}')", ["noop"] * len(TEXTS))


@pytest.mark.parametrize(("call", "which"), [(c, "plain") for c in PLAIN] + [(c, "full") for c in FULL])
def test_a_call_in_any_notation_finds_its_function(db, call, which):
    """Nobody is told "is not unique", and who says no option pays for none."""
    assert taken(db, f"select pgqueue.enqueue({call})") == which


@pytest.mark.parametrize(("options", "which"), [({}, "plain"), ({"queue": "mail"}, "full"), ({"delay": 1}, "full")])
def test_python_calls_the_plain_one_for_a_job_without_options(db, options, which):
    """It says only what is not the default."""
    call = calls.enqueue(Job("noop", {"a": 1}, **options))

    assert taken(db, call.sql, call.params) == which


@pytest.mark.parametrize("type", TEXTS)
def test_a_kind_may_be_any_type_of_text(db, words, type):
    """tg_table_name and current_user are of type name, SQLAlchemy sends varchar, an old table has char(20)."""
    for call, which in (
        ('"{}"', "plain"),
        ("\"{}\", '{{}}'", "plain"),
        ('"{}", args', "plain"),
        ('kind => "{}", args => args', "plain"),
        ("\"{}\", queue => 'default'", "full"),
        ("\"{}\", args, 'default', 5", "full"),
    ):
        expression = f"pgqueue.enqueue({call.format(type)})"
        assert taken(db, f"select {expression} from words") == which
        id = value(db, f"select ({expression}).id from words")
        assert live(db, id).kind == "noop"


@pytest.mark.parametrize("kind", ["42", "true", "now()", "array['a']", "'{}'::jsonb", "'\\x6e'::bytea", "B'01'"])
@pytest.mark.parametrize("more", ["", ", '{}'", ", '{}', queue => 'mail'"])
def test_a_kind_that_is_no_text_is_no_kind(db, kind, more):
    """The declared type of the full one takes any, so it has to look itself."""
    with pytest.raises(psycopg.errors.UndefinedFunction):
        db.execute(f"select pgqueue.enqueue({kind}{more})")


def test_parameters_of_unknown_type_become_text_and_jsonb(db):
    """Drivers that ask the server for the types get those that every language has."""
    db.execute("prepare plain as select pgqueue.enqueue($1, $2)")
    db.execute("prepare named as select pgqueue.enqueue(args => $1, kind => $2)")
    db.execute("prepare alone as select pgqueue.enqueue($1)")
    db.execute("prepare full_one as select pgqueue.enqueue($1, $2, queue => $3)")

    found = dict(db.execute("select name, parameter_types::text[] from pg_prepared_statements").fetchall())
    assert found == {
        "plain": ["text", "jsonb"],
        "named": ["jsonb", "text"],
        "alone": ["text"],
        "full_one": ["text", "jsonb", "text"],
    }


async def test_drivers_of_other_habits_find_both(dsn, db):
    """asyncpg asks the server for types, SQLAlchemy casts what it sends to varchar."""
    postgres = await asyncpg.connect(dsn)
    try:
        await postgres.execute("select pgqueue.enqueue($1, $2)", "noop", '{"n": 1}')
        await postgres.execute("select pgqueue.enqueue($1, $2, queue => $3)", "noop", '{"n": 2}', "mail")
    finally:
        await postgres.close()
    engine = sa.create_engine(sa.make_url(dsn).set(drivername="postgresql+psycopg"), poolclass=sa.NullPool)
    with engine.begin() as connection:
        connection.execute(sa.select(sa.func.pgqueue.enqueue("noop", sa.cast({"n": 3}, JSONB))))
        connection.execute(sa.select(sa.func.pgqueue.enqueue("noop", sa.cast({"n": 4}, JSONB), "mail")))

    assert values(db, "select kind || queue || (args ->> 'n') from pgqueue.job order by id") == [
        "noopdefault1",
        "noopmail2",
        "noopdefault3",
        "noopmail4",
    ]


def test_both_store_the_same(db):
    """The defaults stand in the table and in the parameters of the full one."""
    with db.transaction():
        ids = [
            value(db, f"select id from pgqueue.enqueue({call})")
            for call in ("'noop', '{\"a\": 1}'", "'noop', '{\"a\": 1}', queue => 'default'", "'noop'")
        ]

    plain, full, alone = ({**live(db, id)._asdict(), "id": 0} for id in ids)
    assert plain["run_at"] == plain["created_at"] < full["run_at"] == full["created_at"] < alone["run_at"]
    for stored in (plain, full, alone):
        del stored["run_at"], stored["created_at"]
    assert plain == full == {**alone, "args": {"a": 1}}


def test_it_gives_id_and_created_in_every_form(db):
    """As one value, as columns, and either alone."""
    id = value(db, "select (pgqueue.enqueue('noop')).id")

    assert values(db, "select id from pgqueue.job") == [id]
    assert value(db, "select (pgqueue.enqueue('noop')).created") is True
    assert row(db, "select * from pgqueue.enqueue('noop')")._fields == ("id", "created")
    assert value(db, "select pgqueue.enqueue('noop')::text") == f"({id + 3},t)"


def test_args_stored_large_are_taken_if_their_text_is_not(db):
    """What is not plainly good goes to the full one, and that takes it."""
    args = f'{{"x": [{"0.5, " * 190_000}1]}}'
    assert value(db, "select pg_column_size(%s::jsonb) > 1048576", [args])

    added = row(db, "select * from pgqueue.enqueue('noop', %s)", [args])

    assert added.created
    assert values(db, "select id from pgqueue.job") == [added.id]


def test_a_refusal_names_the_value_and_the_rule(db):
    """The same words, whichever function the call went to."""
    for call in ("'a b', '{}'", "null", "'noop', '[]'", "'noop', null"):
        messages = set()
        for more in ("", ", queue => 'default'"):
            with pytest.raises(psycopg.Error) as refused:
                db.execute(f"select pgqueue.enqueue({call}{more})")
            assert refused.value.sqlstate == "PQ001"
            messages.add(refused.value.diag.message_primary)
        assert len(messages) == 1
    assert rows(db, "select from pgqueue.job") == []


def test_it_rings_a_sleeper_once_at_commit(db, sessions):
    """The same protocol as every other way in."""
    sleeper = listener(sessions, parked="default")
    (producer,) = sessions(1)

    with producer.transaction():
        producer.execute("select pgqueue.enqueue('noop', '{}')")
        added = row(producer, "select * from pgqueue.enqueue('noop', '{}')")
        assert added.created
        assert heard(sleeper, db) == []

    assert heard(sleeper, db) == ["default"]
