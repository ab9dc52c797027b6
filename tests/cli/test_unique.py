"""pgqueue unique, pgqueue queue, and enqueueing under a key."""

import json

import pytest

pytestmark = pytest.mark.integration

KEYED = ("enqueue", "charge", "--unique-key", "stripe-evt-123")


def test_a_key_is_enqueued_looked_up_and_released(pgqueue, db):
    """From the terminal of whoever is on call."""
    assert pgqueue(*KEYED).stdout == "job 1 enqueued: charge in queue default\n"
    assert pgqueue(*KEYED, "--within", 60).stdout == "job 1 holds the key: charge in queue default\n"
    assert json.loads(pgqueue(*KEYED, "--json").stdout) == {"id": 1, "created": False}

    assert pgqueue("unique", "show", "charge", "stripe-evt-123").stdout == "job 1 holds the key\n"
    assert pgqueue("unique", "release", "charge", "stripe-evt-123").stdout == "job 1 held the key; it is free now\n"
    assert pgqueue("unique", "show", "charge", "stripe-evt-123").stdout == "no job holds the key\n"
    assert json.loads(pgqueue("unique", "release", "charge", "stripe-evt-123", "--json").stdout) == {"id": None}
    assert db.execute("select count(*) from pgqueue.job").fetchone() == (1,)


def test_options_of_a_key_without_a_key_are_a_mistake(pgqueue):
    """Not a wish to be ignored."""
    result = pgqueue("enqueue", "charge", "--within", 60)

    assert result.exit_code == 2
    assert "--unique-key" in result.stderr


def test_an_expiry_can_be_given(pgqueue, db):
    """In seconds, as all lengths of time."""
    pgqueue("enqueue", "charge", "--expires-in", 60, "--delay", 10)

    assert db.execute("select extract(epoch from expires_at - run_at)::integer from pgqueue.job").fetchone() == (60,)


def test_settings_of_a_queue_are_changed_one_by_one(pgqueue, db):
    """What is not given stays as it is."""
    pgqueue("queue", "set", "thumbnails", "--lifo")
    result = pgqueue("queue", "set", "thumbnails", "--keep-completed", 0.5)

    assert result.stdout == "queue thumbnails: keep_completed 0.5 days\n"
    found = db.execute("select lifo, keep_completed = interval '12 hours', keep_ended from pgqueue.queue").fetchone()
    assert found == (True, True, None)
    pgqueue("queue", "set", "thumbnails", "--fifo")
    assert db.execute("select lifo from pgqueue.queue").fetchone() == (False,)


@pytest.mark.parametrize("arguments", [("thumbnails",), ("a b", "--lifo"), ("q", "--keep-ended", "-1")])
def test_a_setting_that_cannot_work_is_refused(pgqueue, db, arguments):
    """With an exit code that tells so."""
    assert pgqueue("queue", "set", *arguments).exit_code == 2
    assert db.execute("select count(*) from pgqueue.queue").fetchone() == (0,)
