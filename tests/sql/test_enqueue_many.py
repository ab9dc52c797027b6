"""enqueue_many: many jobs in one statement, all or none."""

from datetime import timedelta

import psycopg
import pytest

from tests.sql.bells import heard, listener, park
from tests.sql.verbs import claim, enqueue_many, everything, ids, live, rows, value, values

pytestmark = pytest.mark.integration


def test_ids_come_in_the_order_given(db):
    """So the caller can tell which id belongs to which of its jobs."""
    created = enqueue_many(db, [{"kind": "noop", "args": {"n": n}, "priority": 9 - n % 10} for n in range(100)])

    assert created == sorted(created)
    assert [live(db, id).args["n"] for id in created] == list(range(100))


def test_ten_thousand_jobs_go_in_one_statement(db):
    """An import is one round trip, and its jobs run in the order it gave them."""
    created = enqueue_many(db, [{"kind": "noop"}] * 10_000)

    assert len(set(created)) == 10_000
    assert ids(claim(db, limit=10_000)) == created


def test_one_bad_job_refuses_all(db):
    """Half an import would have to be found and undone by hand."""
    with pytest.raises(psycopg.Error, match="priority 12") as refused:
        enqueue_many(db, [{"kind": "noop"}, {"kind": "noop", "priority": 12}, {"kind": "noop"}])

    assert refused.value.sqlstate == "PQ001"
    assert everything(db) == []


@pytest.mark.parametrize(("jobs", "type"), [({}, "object"), ("x", "string"), (None, "null"), (1, "number")])
def test_jobs_that_are_no_array_are_refused(db, jobs, type):
    """One object instead of a list of one is the likeliest slip."""
    with pytest.raises(psycopg.Error, match=f"JSON of type {type}; they must be an array") as refused:
        enqueue_many(db, jobs)

    assert refused.value.sqlstate == "PQ001"


def test_null_is_refused_like_any_other_wrong_value(db):
    """A null from a forgotten column must not look like an empty list."""
    with pytest.raises(psycopg.Error, match="type null") as refused:
        db.execute("select pgqueue.enqueue_many(null)")

    assert refused.value.sqlstate == "PQ001"


@pytest.mark.parametrize("element", [1, "noop", None, [], [{"kind": "noop"}]])
def test_an_element_that_is_no_object_is_refused_as_any_broken_rule(db, element):
    """With our own SQLSTATE: the client maps nothing else to its InvalidJob."""
    with pytest.raises(psycopg.Error, match="array of objects") as refused:
        enqueue_many(db, [{"kind": "noop"}, element])

    assert refused.value.sqlstate == "PQ001"
    assert everything(db) == []


def test_an_option_that_does_not_exist_is_refused(db):
    """As a named argument of enqueue would be: with a slip in `queue` the job would wait where nobody looks."""
    with pytest.raises(psycopg.Error, match=r"'que' is no option of a job; use kind, args, .*timeout") as refused:
        enqueue_many(db, [{"kind": "noop"}, {"kind": "noop", "que": "billing"}])

    assert refused.value.sqlstate == "PQ001"
    assert everything(db) == []


def test_no_jobs_are_no_error(db):
    """A list that happens to be empty is ordinary."""
    assert enqueue_many(db, []) == []


def test_every_job_has_its_own_options(db):
    """And those it leaves out are the defaults of enqueue."""
    plain, full = enqueue_many(
        db,
        [
            {"kind": "noop"},
            {
                "kind": "charge",
                "args": {"a": 1},
                "queue": "billing",
                "priority": 1,
                "run_at": "2030-01-01 00:00+00",
                "max_attempts": 2,
                "timeout": "1 min",
            },
        ],
    )

    stored = live(db, plain)
    assert (stored.queue, stored.args, stored.priority, stored.max_attempts) == ("default", {}, 5, 20)
    assert (stored.timeout, stored.run_at) == (None, stored.created_at)
    stored = live(db, full)
    assert (stored.kind, stored.queue, stored.args, stored.priority) == ("charge", "billing", {"a": 1}, 1)
    assert (stored.max_attempts, stored.timeout, stored.run_at.year) == (2, timedelta(minutes=1), 2030)


def test_each_delay_counts_from_now(db):
    """Jobs spread over the next minutes are what the option is for."""
    enqueue_many(db, [{"kind": "noop", "delay": f"{n} min"} for n in (0, 1, 2)])

    pauses = rows(db, "select run_at - created_at as pause from pgqueue.job order by id")
    assert [each.pause for each in pauses] == [timedelta(minutes=n) for n in (0, 1, 2)]


def test_the_result_says_that_each_was_created(db):
    """The same columns as enqueue returns."""
    assert values(db, """select created from pgqueue.enqueue_many('[{"kind": "a"}, {"kind": "b"}]')""") == [True, True]


def test_each_queue_is_rung_once(db, sessions):
    """However many jobs it gets: a sleeper needs to be told once."""
    sleeper = listener(sessions, parked="a")
    park(sleeper, "b")
    park(sleeper, "c")

    enqueue_many(db, [{"kind": "noop", "queue": queue} for queue in "abaabb"])

    assert sorted(heard(sleeper, db)) == ["a", "b"]


def test_the_ring_names_the_earliest_start(db, sessions):
    """A sleeper sets its timer by it; the latest would leave the others waiting."""
    sleeper = listener(sessions, parked="default")

    enqueue_many(db, [{"kind": "noop", "delay": f"{hours} hours"} for hours in (3, 1, 2)])

    earliest = value(db, "select extract(epoch from min(run_at)) from pgqueue.job")
    assert heard(sleeper, db) == [f"default@{earliest}"]
