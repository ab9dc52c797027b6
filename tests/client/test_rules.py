"""The rules of a job stand twice, in Python and in SQL, and agree."""

import json
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest

from pgqueue import Job, enqueue, enqueue_many
from pgqueue.errors import InvalidJob

pytestmark = pytest.mark.integration

VALUES: dict[str, list[Any]] = {
    "kind": ["a", "A.b_c-d:9", "", "a b", "a\n", "\n", "ä", "a/b", "k" * 255, "k" * 256, "a'b", 'a"b', "a\\b", "٣"],
    "queue": ["a", "A.b_c-d", "", "a b", "a:b", "a\n", "q" * 63, "q" * 64, "ß", "a,b", "%s", "٣", "a\u200b"],
    "priority": [*range(-2, 12), 32_768, 2**31 - 1],
    "max_attempts": [-1, 0, 1, 2, 32_767, 32_768, 2**31 - 1],
    "timeout": [-1, -1e-6, 0, 1e-7, 4e-7, 1e-6, 0.5, 1, 86_400, 1e9],
    "delay": [0, 1e-9, 1e-6, 0.5, 1, 86_400, 1e9],
    "run_at": [
        datetime(1, 1, 1, 12, tzinfo=UTC),
        datetime(1, 1, 2, tzinfo=UTC),
        datetime(1970, 1, 1, tzinfo=UTC),
        datetime(9999, 12, 30, tzinfo=UTC),
        datetime(9999, 12, 31, tzinfo=UTC),
    ],
    "args": [
        {},
        {"a": None},
        [],
        {"x": "y" * (2**20 - 9)},
        {"x": "y" * (2**20 - 8)},
        {"x": [1] * 300_000},
        {"x": [1] * 349_522},
        {"x": [1] * 349_523},
        {"x": [[]] * 262_140},
        {"x": [[]] * 262_142},
        {"x": {f"{n}": n for n in range(60_000)}},
        {"x": [0.5] * 200_000},
        {"x": [0.5] * 210_000},
        {"\u00df" * 1000: "\U0001f600" * 250_000},
    ],
}


def python_takes(option: str, value: Any) -> Job | None:
    try:
        return Job(**{"kind": "noop", option: value})
    except InvalidJob:
        return None


def sql_takes(db: psycopg.Connection, option: str, value: Any) -> bool:
    """Whether both pgqueue.enqueue and enqueue_many take it, from a client that checks nothing."""
    cast = {"args": "jsonb", "timeout": "interval", "delay": "interval", "run_at": "timestamptz"}.get(option, "text")
    cast = "integer" if option in ("priority", "max_attempts") else cast
    given = {"args": lambda: json.dumps(value), "timeout": lambda: f"{value:.9f} s", "delay": lambda: f"{value:.9f} s"}
    text = given[option]() if option in given else str(value)
    kind = "" if option == "kind" else "'noop', "
    one = f"select pgqueue.enqueue({kind}{option} => %s::text::{cast})"  # of kind or args alone: the plain one
    full = f"select pgqueue.enqueue({kind}{option} => %s::text::{cast}, meta => null)"
    many = f"""select pgqueue.enqueue_many(jsonb_build_array(
        '{{"kind": "noop"}}'::jsonb || jsonb_build_object('{option}', %s::text::{cast})))"""
    taken = {_takes(db, statement, text) for statement in (one, full, many)}
    assert len(taken) == 1, f"both enqueue and enqueue_many differ about {option} {text!r:.80}"
    return taken.pop()


def _takes(db: psycopg.Connection, statement: str, text: str) -> bool:
    try:
        db.execute(statement, [text])
    except psycopg.Error as refused:
        if refused.sqlstate != "PQ001":
            raise
        return False
    return True


@pytest.mark.parametrize("option", VALUES)
def test_python_and_sql_take_and_refuse_the_same(db, option):
    """What Python takes and SQL refuses aborts the caller's transaction; the other way round, two clients disagree."""
    for value in VALUES[option]:
        job = python_takes(option, value)

        assert sql_takes(db, option, value) == (job is not None), f"{value!r:.80}"
        if job is not None:
            assert enqueue(db, job).created
            assert enqueue_many(db, [job, job])[1].created


@pytest.mark.parametrize("args", [{"x": 1e300}, {"x": [1e-17] * 20_000}, {"x": "\x01" * 150_000}])
def test_what_postgres_prints_longer_than_python_is_taken(db, args):
    """Python's text of it is within the limit, so it must not fail in the database."""
    assert enqueue(db, Job("noop", args)).created
