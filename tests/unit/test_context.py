"""JobContext: what a handler can ask about its own job."""

from datetime import UTC, datetime, timedelta

from pgqueue import JobContext


def context(**changes) -> JobContext:
    moment = datetime(2030, 1, 1, tzinfo=UTC)
    given = dict.fromkeys(JobContext.__dataclass_fields__)
    return JobContext(**given | {"attempt": 1, "max_attempts": 2, "run_at": moment, "deadline": None} | changes)


def test_the_context_knows_the_last_attempt():
    """A handler may want to tell somebody before it gives up."""
    assert [context(attempt=attempt).is_last_attempt for attempt in (1, 2, 3)] == [False, True, True]


def test_the_context_counts_down_to_the_deadline_and_not_below_zero():
    """So that it can be given to a client as its timeout."""
    now = datetime.now(UTC)

    assert context().remaining is None
    assert context(deadline=now - timedelta(seconds=5)).remaining == 0
    assert 50 < context(deadline=now + timedelta(seconds=60)).remaining <= 60
