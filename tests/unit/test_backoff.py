"""Backoff: pauses that grow, with a cap and jitter."""

import pytest

from pgqueue import Backoff, Custom
from pgqueue.errors import ConfigurationError


def test_pauses_double_up_to_the_cap():
    """The schedule that the documentation prints."""
    backoff = Backoff(base=1, factor=2, cap=10)
    assert [backoff.longest(attempt) for attempt in range(1, 6)] == [1, 2, 4, 8, 10]


def test_a_factor_of_one_is_a_fixed_pause():
    """Some upstreams ask for exactly that."""
    assert {Backoff(base=7, factor=1).longest(attempt) for attempt in range(1, 50)} == {7}


@pytest.mark.parametrize("attempt", [1_100, 32_767])
def test_a_pause_too_long_to_compute_is_the_cap(attempt):
    """2.0 ** 1100 is an OverflowError, and max_attempts goes up to 32,767."""
    assert Backoff().longest(attempt) == 3600


def test_jitter_shortens_a_pause_by_at_most_its_share():
    """Jobs that failed together come back apart, and none of them later than the schedule says."""
    backoff = Backoff(base=10, jitter=0.5)
    pauses = [backoff.pause(1) for _ in range(1_000)]

    assert all(5 <= pause <= 10 for pause in pauses)
    assert max(pauses) - min(pauses) > 3


def test_without_jitter_a_pause_is_exact():
    """For a test of one's own, say."""
    assert Backoff(base=3, jitter=0).pause(2) == 6


@pytest.mark.parametrize(
    "wrong",
    [
        {"base": -1},
        {"factor": 0.5},
        {"cap": -1},
        {"jitter": 1.5},
        {"jitter": -0.1},
        {"base": "x"},
        {"cap": None},
        {"factor": True},
    ],
)
def test_what_cannot_work_is_refused(wrong):
    """When the module is imported, not when the first job fails at night."""
    with pytest.raises(ConfigurationError, match="cannot work"):
        Backoff(**wrong)


@pytest.mark.parametrize("wrong", [5, None, int])
def test_a_policy_of_ones_own_needs_a_function(wrong):
    """Or the default would step in at the first failure, with no more than a line in a log."""
    with pytest.raises(ConfigurationError, match="no function of the attempt; for the same pause give Fixed"):
        Custom(wrong)
