"""Unique: the key, and what cannot work."""

from datetime import UTC, datetime, timedelta

import pytest

from pgqueue import Job, Queue, Secret, Unique, job
from pgqueue.errors import ConfigurationError, InvalidJob


def test_the_key_is_made_of_the_chosen_arguments_in_any_order():
    """Two calls that mean the same have the same key."""
    one = Job("charge", {"a": 1, "b": [2, {"y": 1, "x": 2}], "c": 3}, unique=Unique(by=("b", "a")))
    other = Job("charge", {"b": [2, {"x": 2, "y": 1}], "c": 4, "a": 1}, unique=Unique(by=("a", "b")))

    assert one.key == other.key == ("charge", '{"a":1,"b":[2,{"x":2,"y":1}]}')


def test_all_arguments_make_the_key_unless_some_are_chosen_or_none():
    """(): one job of its kind at a time."""
    assert Job("x", {"a": 1, "b": 2}, unique=Unique()).key == ("x", '{"a":1,"b":2}')
    assert Job("x", {"a": 1, "b": 2}, unique=Unique(by="a")).key == ("x", '{"a":1}')
    assert Job("x", {"a": 1, "b": 2}, unique=Unique(by=())).key == ("x", "{}")
    assert Job("x", {"a": 1}).key is None


def test_a_long_key_is_hashed_and_a_secret_one_as_well():
    """A key stands in a table that people look at."""
    long = Job("x", {"a": "y" * 10_000}, unique=Unique())
    hidden = Job("x", {"a": Secret("hunter2")}, unique=Unique())

    for each in (long, hidden):
        assert each.key[1].startswith("sha256:")
        assert len(each.key[1]) == 71
        assert each.key == Job("x", each.args, unique=Unique()).key


def test_a_key_that_was_given_is_taken_as_it_is():
    """An idempotency key of somebody else's."""
    assert Job("x", unique_key="stripe-evt-123").key == ("x", "stripe-evt-123")
    assert Job("x", {"a": 1}, unique=Unique(scope="s"), unique_key="k").key == ("s", "k")


def test_a_task_gives_its_jobs_its_key(own_registry):
    """An argument left to the handler's default is not part of it."""

    @job(unique=Unique(by=("customer", "deep")), expires_in=timedelta(minutes=1))
    def sync(customer: int, force: bool = False, deep: bool = False) -> None: ...

    assert sync.job(1, True).key == ("sync", '{"customer":1}')
    assert sync.job(1, deep=True).key == ("sync", '{"customer":1,"deep":true}')
    assert sync.job(1).options(unique=None).key is None
    assert sync.job(1).expires_in == 60


def test_a_task_cannot_be_unique_by_what_it_is_not_given(own_registry):
    """A slip of the pen would make all its jobs one."""
    with pytest.raises(ConfigurationError, match="unique by invoice, which is none of its arguments"):

        @job(unique=Unique(by="invoice"))
        def charge(invoice_id: int) -> None: ...


@pytest.mark.parametrize(
    ("options", "wrong"),
    [
        ({"by": 5}, "by 5"),
        ({"by": (1,)}, "argument names"),
        ({"until": "later"}, "'later'"),
        ({"within": 0}, "within 0"),
        ({"within": -1}, "within -1"),
        ({"within": "1 day"}, "'1 day'"),
        ({"on_conflict": "explode"}, "'explode'"),
        ({"on_conflict": None}, "None"),
        ({"scope": "a b"}, "a space"),
        ({"on_conflict": "latest", "within": 5}, "latest"),
        ({"on_conflict": "latest", "until": "started"}, "latest"),
    ],
)
def test_what_cannot_work_is_refused_where_it_is_said(options, wrong):
    """Not at the first job at night."""
    with pytest.raises(InvalidJob, match=wrong):
        Unique(**options)


@pytest.mark.parametrize(
    ("options", "wrong"),
    [
        ({"unique_key": ""}, "1 to 1,024"),
        ({"unique_key": "ä" * 513}, "1,026 bytes"),
        ({"unique_key": 5}, "an? int"),
        ({"unique_key": "a\0b"}, "cannot store"),
        ({"unique_key": "a\ud800"}, "cannot store"),
        ({"unique": "key"}, "give a Unique"),
        ({"unique": Unique(by=("a", "b"))}, "unique by b"),
        ({"expires_at": datetime(2030, 1, 1)}, "naive"),  # noqa: DTZ001
        ({"expires_at": "2030-01-01"}, "aware datetime"),
        ({"expires_at": datetime(2030, 1, 1, tzinfo=UTC), "expires_in": 5}, "give one"),
        ({"expires_at": datetime(2030, 1, 1, tzinfo=UTC), "run_at": datetime(2030, 1, 1, tzinfo=UTC)}, "never start"),
        ({"expires_in": 0}, "expires_in 0"),
        ({"expires_in": True}, "expires_in True"),
    ],
)
def test_a_job_refuses_what_the_database_would(options, wrong):
    """There it would abort the caller's transaction."""
    with pytest.raises(InvalidJob, match=wrong):
        Job("x", {"a": 1}, **options)


def test_a_queue_gives_its_tasks_their_defaults(own_registry):
    """Said once for all tasks of a queue; the task has the last word."""
    billing = Queue("billing", priority=2, max_attempts=3, timeout=timedelta(seconds=5), expires_in=60)

    @job(queue=billing, max_attempts=7)
    def charge() -> None: ...

    made = charge.job()
    assert (made.queue, made.priority, made.max_attempts, made.expires_in) == ("billing", 2, 7, 60)
    assert charge.timeout == 5


@pytest.mark.parametrize(
    ("options", "wrong"),
    [
        ({"priority": 10}, "priority"),
        ({"timeout": -1}, "timeout"),
        ({"expires_in": 0}, "expires"),
        ({"backoff": "soon"}, "pause"),
    ],
)
def test_a_queue_refuses_what_cannot_work(options, wrong):
    """Where it is said."""
    with pytest.raises(ConfigurationError, match=wrong):
        Queue("billing", **options)
