"""redact: what no listing shows, and the view that uses it."""

import json

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pgqueue.redaction import HIDDEN, NAMES, hides, redact
from tests.sql.verbs import A, cancel, claimed, enqueue, finish, job, retry, row, value

pytestmark = pytest.mark.integration

SECRETS = {
    "password": "hunter2",
    "user": {"apiKey": ["k1", "k2"], "name": "ada", "token_count": 3, "has_password": True},
    "headers": [{"X-Api-Key": 5, "Authorization": {"scheme": "b"}, "Accept": "*/*"}],
    "pin": {"$secret": 1234},
    "maximum_tokens": 100,
    "old_password": None,
}
SHOWN = {
    "password": "***",
    "user": {"apiKey": "***", "name": "ada", "token_count": 3, "has_password": True},
    "headers": [{"X-Api-Key": "***", "Authorization": "***", "Accept": "*/*"}],
    "pin": "***",
    "maximum_tokens": 100,
    "old_password": None,
}


def hidden(db, given):
    return value(db, "select pgqueue.redact(%s::jsonb)", [json.dumps(given)])


def test_secrets_are_hidden_at_any_depth_by_name_and_by_shape(db):
    """Whoever may read the views is not whoever may log in."""
    assert hidden(db, SECRETS) == SHOWN


@pytest.mark.parametrize("name", NAMES)
def test_every_name_of_a_secret_is_known_to_the_database_too(db, name):
    """Or a log would hide what a listing shows."""
    for written in (name, name.upper(), f"db_{name}", f"user-{name}", f"new{name.title()}", f"{name}2", f"{name}_01"):
        assert hidden(db, {written: "x"}) == {written: HIDDEN}, written
        assert hides(written, "x"), written


@pytest.mark.parametrize("name", ["api key", "X-API-KEY", "secret_access_key", "card number", "PIN-Code", "privateKey"])
def test_a_name_may_be_written_in_several_words(db, name):
    """Headers, snake case, camel case."""
    assert hidden(db, {name: "x"}) == {name: HIDDEN}
    assert hides(name, "x")


@pytest.mark.parametrize(
    "name",
    [
        *(
            "token_count",
            "max_tokens",
            "tokenizer",
            "password_length",
            "secret_santa_id",
            "passenger",
            "monkey",
            "keyword",
        ),
        *(
            "card_id",
            "shipping_code",
            "cookie_consent",
            "authorization_id",
            "key",
            "bypass",
            "",
            "primary_key",
            "secretary",
        ),
    ],
)
def test_a_name_that_only_begins_like_a_secret_is_shown(db, name):
    """A listing full of asterisks helps nobody."""
    assert hidden(db, {name: "x"}) == {name: "x"}
    assert not hides(name, "x")


def test_true_false_and_null_are_shown(db):
    """They tell nothing, and `has_token: false` explains a failure."""
    assert hidden(db, {"has_token": False, "password": None}) == {"has_token": False, "password": None}


def test_a_text_that_speaks_of_secrets_is_shown(db):
    """Only keys are names."""
    for text in ({"note": 'the "password": x'}, "token", ["password", 5], {"note": 'a\\"secret": 1'}, {}, [], 5):
        assert hidden(db, text) == text


def test_what_is_deeper_than_anybody_writes_is_hidden_whole(db):
    """One such job must not end the listing of all others with an error of the server's."""
    deep = "[" * 2_000 + '{"password": "x"}' + "]" * 2_000

    found = value(db, "select pgqueue.redact(%s::jsonb)::text", [deep])

    assert found.count("[") == 33
    assert HIDDEN in found
    assert "password" not in found


KEYS = st.sampled_from(["password", "apiKey", "X-Api-Key", "token_count", "$secret", "a", "name", "tokens", "pin code"])
LEAVES = st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from(["", "x", '"password": ', "\\", "ü"])
VALUES = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4))


@settings(max_examples=200, suppress_health_check=list(HealthCheck))
@given(VALUES)
def test_the_database_hides_what_python_hides(db, given):
    """One rule in two languages: the same arguments in a listing and in a message."""
    assert hidden(db, given) == redact(given)


def test_the_view_hides_and_the_table_keeps(db):
    """Handlers, retries and the archive have the value itself."""
    taken = claimed(db, args=SECRETS)
    finished = taken.id
    finish(db, A, [taken], [{"token": "abc", "n": 1}])
    cancelled = enqueue(db, args=SECRETS)
    cancel(db, cancelled)

    assert job(db, finished).args == job(db, cancelled).args == SHOWN
    assert job(db, finished).result == {"token": "***", "n": 1}
    archived = "select args, result from pgqueue.job_archive where id = %s"
    assert row(db, archived, [finished]) == (SECRETS, {"token": "abc", "n": 1})

    retry(db, cancelled)
    assert job(db, cancelled).args == SHOWN
    assert value(db, "select args from pgqueue.job where id = %s", [cancelled]) == SECRETS


def test_a_count_of_jobs_hides_nothing(db):
    """It needs no arguments, so it must not read them."""
    plan = json.dumps(value(db, "explain (verbose, format json) select count(*) from pgqueue.jobs"))

    assert "redact" not in plan


def test_the_newest_jobs_are_redacted_and_no_others(db):
    """The page of a dashboard costs what it shows, however long the queue."""
    db.execute("insert into pgqueue.job (kind, args) select 'noop', '{\"token\": \"x\"}' from generate_series(1, 5000)")
    db.execute("analyze pgqueue.job")
    db.execute("set track_functions = 'pl'")
    calls = "select coalesce(sum(pg_stat_get_xact_function_calls('pgqueue.redact(jsonb, integer)'::regprocedure)), 0)"
    with db.transaction():
        before = value(db, calls)
        db.execute("select * from pgqueue.jobs order by id desc limit 50")
        shown = value(db, calls) - before

    assert 50 <= shown <= 60


def test_who_may_only_look_at_the_view_sees_no_secret(db):
    """The grant that the documentation gives to those who watch."""
    claimed(db, args={"password": "hunter2"})
    db.execute("grant usage on schema pgqueue to pg_monitor")
    db.execute("grant select on pgqueue.jobs to pg_monitor")
    with db.transaction():
        db.execute("set local role pg_monitor")

        assert value(db, "select args from pgqueue.jobs") == {"password": "***"}
        with pytest.raises(psycopg.errors.InsufficientPrivilege), db.transaction():
            db.execute("select args from pgqueue.job")
