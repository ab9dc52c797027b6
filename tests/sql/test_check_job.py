"""check_job: the rules of a job, the same for every way in."""

import psycopg
import pytest

from tests.sql.verbs import enqueue, enqueue_many, everything

pytestmark = pytest.mark.integration

BROKEN = [
    ({"queue": "a b"}, "'a b'", "letters, digits"),
    ({"queue": ""}, "''", "1 to 63"),
    ({"queue": "a\nb"}, "a\nb", "letters, digits"),
    ({"queue": "ä"}, "'ä'", "letters, digits"),
    ({"queue": "q" * 64}, "q" * 64, "1 to 63"),
    ({"kind": "a b"}, "'a b'", "letters, digits"),
    ({"kind": ""}, "''", "1 to 255"),
    ({"kind": "k\n"}, "k\n", "letters, digits"),
    ({"kind": None}, "NULL", "1 to 255"),
    ({"kind": "k" * 256}, "k" * 256, "1 to 255"),
    ({"args": [1]}, "array", "object"),
    ({"args": {"x": "y" * 1048576}}, "10485", "1048576"),
    ({"priority": -1}, "-1", "0 (first) to 9 (last)"),
    ({"priority": 10}, "10", "0 (first) to 9 (last)"),
    ({"max_attempts": 0}, "0", "1 to 32767"),
    ({"max_attempts": 32768}, "32768", "1 to 32767"),
    ({"timeout": "0 s"}, "00:00:00", "positive"),
    ({"timeout": "-1 s"}, "-00:00:01", "positive"),
    ({"run_at": "2030-01-01 00:00:00+00", "delay": "1 s"}, "2030", "give one"),
    ({"delay": "-1 microsecond"}, "-00:00:00.000001", "0 to 1000 years"),
    ({"delay": "2000 years"}, "2000 years", "0 to 1000 years"),
    ({"meta": [1]}, "array", "object"),
    ({"meta": {"x": "y" * 500_000}}, "meta of noop takes", "65536"),
    ({"expires_at": "2030-01-01 00:00:00+00", "expires_in": "1 s"}, "2030", "give one"),
    ({"expires_at": "2030-01-01 00:00:00+00", "run_at": "2030-01-01 00:00:00+00"}, "2030", "never start"),
    ({"expires_at": "infinity"}, "infinity", "1 to 9999"),
    ({"expires_in": "0 s"}, "00:00:00", "more than nothing"),
    ({"expires_in": "2000 years"}, "2000 years", "1000 years"),
]
ONLY_EXPLICIT = [
    ({"queue": None}, "NULL", "1 to 63"),
    ({"args": None}, "null", "object"),
    ({"priority": None}, "null", "0 (first) to 9 (last)"),
    ({"max_attempts": None}, "null", "1 to 32767"),
]
"""Nulls: an explicit one breaks the rule; in an object for enqueue_many it is the same as an absent key."""

RULES = pytest.mark.parametrize(("option", "value", "rule"), BROKEN)


@pytest.mark.parametrize(("option", "value", "rule"), BROKEN + ONLY_EXPLICIT)
def test_enqueue_refuses_what_breaks_a_rule_and_names_value_and_rule(db, option, value, rule):
    """Whoever reads the message must not need the documentation to mend the call."""
    with pytest.raises(psycopg.Error) as refused:
        enqueue(db, **option)

    assert refused.value.sqlstate == "PQ001"
    assert value in refused.value.diag.message_primary
    assert rule in refused.value.diag.message_primary
    assert everything(db) == []


@RULES
def test_enqueue_many_refuses_what_breaks_a_rule_and_names_value_and_rule(db, option, value, rule):
    """No way in may be laxer than another: what comes in, some worker has to run."""
    with pytest.raises(psycopg.Error) as refused:
        enqueue_many(db, [{"kind": "noop"}, {"kind": "noop", **option}])

    assert refused.value.sqlstate == "PQ001"
    assert value in refused.value.diag.message_primary
    assert rule in refused.value.diag.message_primary
    assert everything(db) == []


@pytest.mark.parametrize(
    "option",
    [
        {"queue": "Q.1_a-b"},
        {"queue": "q" * 63},
        {"kind": "my.app:Kind_1-b"},
        {"kind": "k" * 255},
        {"args": {"x": "y" * 1048000}},
        {"priority": 0},
        {"priority": 9},
        {"max_attempts": 1},
        {"max_attempts": 32767},
        {"timeout": "1 microsecond"},
        {"timeout": None},
        {"run_at": None},
        {"delay": None},
        {"delay": "0 s"},
    ],
)
def test_what_is_just_within_a_rule_is_taken(db, option):
    """A rule that is off by one would turn away an honest job."""
    assert enqueue(db, **option)
    assert enqueue_many(db, [{"kind": "noop", **option}])
