"""The verdict must be able to fail: each broken promise, in a record made by hand, is found."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.chaos.ledger import Run
from tests.chaos.producers import Batch
from tests.chaos.verdict import Attempt, Evidence, Outcome, broken, fates_of

SECOND = Run(job=1, claim=2, worker=8, attempt=2, pid=200, began=20.0, ended=22.0)
FIRST = Run(job=1, claim=1, worker=7, attempt=1, pid=100, began=10.0, ended=None)
DIED = Attempt(job=1, claim=1, attempt=1, worker=7, died=True)
DONE = Outcome(id=1, kind="waits", batch=1, state="completed", claims=2, worker=8, attempt=2, finished=22.1)


def life(pid: int, ends_at: float | None = None) -> SimpleNamespace:
    return SimpleNamespace(pid=pid, ends_at=ends_at, gone_at=ends_at, log=Path("none"))


GOOD = Evidence(
    batches=[Batch(1, 1, "committed"), Batch(2, 3, "rolled back")],
    business=frozenset({1}),
    left=0,
    outcomes=[DONE],
    attempts=[DIED],
    runs=[FIRST, SECOND],
    lives=[life(100, ends_at=15.0), life(200)],
    crashes=[],
)


def test_a_job_whose_worker_died_and_that_was_done_again_is_fine():
    assert broken(GOOD) == []
    assert fates_of(GOOD) == {FIRST: "died", SECOND: "completed"}


def test_a_run_that_goes_on_after_its_worker_was_declared_dead_may_overlap():
    """It was frozen: it cannot know."""
    assert broken(replace(GOOD, runs=[FIRST._replace(ended=25.0), SECOND])) == []


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"left": 1}, "1 jobs are left"),
        ({"outcomes": [], "runs": []}, "0 of its jobs have an outcome"),
        ({"business": frozenset()}, "its row of business is gone"),
        ({"business": frozenset({1, 2})}, "its row of business is there"),
        ({"outcomes": [DONE, DONE]}, "job 1 has 2 outcomes"),
        ({"outcomes": [DONE._replace(state="failed")]}, "wrong state"),
        ({"outcomes": [DONE._replace(kind="fails", state="failed")]}, "did not have its attempts"),
        ({"attempts": []}, "on record are the failures of attempts []"),
        ({"attempts": [DIED, DIED._replace(claim=2, attempt=2)]}, "on record are the failures of attempts [1, 2]"),
        ({"runs": [FIRST, SECOND._replace(ended=None)]}, "no handler under that claim came to its end"),
        ({"runs": [FIRST, SECOND._replace(worker=7)]}, "no handler under that claim came to its end"),
        ({"runs": [FIRST, SECOND, SECOND._replace(claim=3, began=30.0, ended=31.0)]}, "knows of 2 claims only"),
        (
            {"runs": [FIRST._replace(ended=25.0), SECOND], "attempts": [DIED._replace(died=False)]},
            "which was failed, ran beside",
        ),
        ({"runs": [FIRST._replace(ended=25.0), SECOND], "attempts": []}, "which was released, ran beside"),
    ],
)
def test_each_broken_promise_is_found(wrong, said):
    changed = replace(GOOD, lives=[life(100), life(200)], **wrong)

    assert any(said in sentence for sentence in broken(changed)), broken(changed)


WROTE = replace(GOOD, outcomes=[DONE._replace(kind="writes")], effects={1: 1})


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"effects": {}}, "wrote 0 rows, not 1"),
        ({"effects": {1: 2}}, "wrote 2 rows, not 1"),
        ({"outcomes": [DONE]}, "wrote 1 rows, not 0"),
        ({"effects": {1: 1, 9: 1}}, "job 9 is not completed, but 1 rows of it are there"),
    ],
)
def test_a_row_too_many_or_too_few_of_a_transactional_job_is_found(wrong, said):
    """Exactly once means one."""
    assert broken(WROTE) == []
    assert any(said in sentence for sentence in broken(replace(WROTE, **wrong)))


def test_a_run_that_was_given_back_may_overlap_only_if_its_worker_was_told_to_stop():
    """A thread cannot be stopped: it goes on for the moment until its process has ended."""
    told = replace(
        GOOD,
        runs=[FIRST._replace(ended=21.0), SECOND._replace(attempt=1)],
        attempts=[],
        outcomes=[DONE._replace(attempt=1)],
        lives=[life(100, ends_at=19.0), life(200)],
    )

    assert broken(told) == []
    assert any("released" in sentence for sentence in broken(replace(told, lives=[life(100), life(200)])))


@pytest.mark.parametrize(("crash", "excused"), [(10.5, True), (9.9, True), (6.0, False), (12.0, False)])
def test_the_same_claim_twice_is_excused_only_by_a_crash_of_the_server(crash, excused):
    """A claim that was not on disk yet is forgotten, and its number given again."""
    twice = replace(
        GOOD,
        runs=[FIRST._replace(ended=25.0), SECOND._replace(claim=1, attempt=1)],
        attempts=[],
        outcomes=[DONE._replace(claims=1, attempt=1)],
        lives=[life(100), life(200)],
        crashes=[crash],
    )

    assert (broken(twice) == []) is excused
