"""set_queue: settings of a queue, one at a time."""

from datetime import timedelta

import psycopg
import pytest
from psycopg.types.json import Jsonb

from tests.sql.verbs import row, value

pytestmark = pytest.mark.integration


def set_queue(db, name="default", **settings):
    db.execute("select pgqueue.set_queue(%s, %s)", [name, Jsonb(settings)])


def settings(db, name="default"):
    return row(db, "select lifo, keep_completed, keep_ended from pgqueue.queue where name = %s", [name])


def test_what_is_not_named_stays_as_it_is(db):
    """Two operators may each change what they came for."""
    set_queue(db, lifo=True)
    assert settings(db) == (True, None, None)
    set_queue(db, keep_completed="3 days")
    set_queue(db, keep_ended="1 hour")

    assert settings(db) == (True, timedelta(days=3), timedelta(hours=1))


def test_null_means_the_default_again(db):
    """Without knowing what that is."""
    set_queue(db, lifo=True, keep_completed="3 days")
    set_queue(db, lifo=None, keep_completed=None)

    assert settings(db) == (False, None, None)


@pytest.mark.parametrize(
    ("name", "given", "wrong"),
    [
        ("a b", {"lifo": True}, "'a b'"),
        ("q", {"lofi": True}, "'lofi'"),
        ("q", {"keep_ended": "-1 day"}, "negative"),
        ("q", {"lifo": "perhaps"}, "perhaps"),
        ("q", {"keep_ended": "long"}, "long"),
    ],
)
def test_what_breaks_a_rule_is_refused_and_changes_nothing(db, name, given, wrong):
    """A setting that is silently ignored is worse than none."""
    with pytest.raises(psycopg.Error, match=wrong):
        set_queue(db, name, **{"keep_completed": "1 day", **given})

    assert value(db, "select count(*) from pgqueue.queue") == 0
