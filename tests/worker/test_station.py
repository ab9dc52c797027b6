"""A station: when it asks for jobs, and that nobody who wants it to look again is forgotten.

Lanes overlap: the answer to one claim comes while another is under way, in any order.
"""

import pytest

from pgqueue.calls import ClaimedJob
from pgqueue.worker.station import Station

NOW = 1000.0


@pytest.fixture
async def station() -> Station:
    return Station("default", 10, NOW)


def job(id: int) -> ClaimedJob:
    return ClaimedJob(id, 1, "default", "noop", "{}", 5, 1, 20, bytes(8), bytes(8), None)


def receive(station: Station, ask, jobs=()):
    station.receive(ask, jobs, swept=ask.swept, took=0.001, now=NOW)


async def test_it_asks_for_its_free_slots(station):
    """No more than can start now, as long as it does not know how fast jobs are."""
    first = station.ask(NOW, 1000)

    assert first.wanted == 10
    assert station.ask(NOW, 1000) is None


async def test_a_sweep_that_finds_nothing_closes_it_until_it_is_told_to_look(station):
    """An empty queue is not asked again and again."""
    receive(station, station.ask(NOW, 1000))

    assert station.went_dry.is_set()
    assert station.ask(NOW, 1000) is None

    station.look()
    assert not station.went_dry.is_set()
    assert station.ask(NOW, 1000).swept


async def test_a_claim_from_the_cursor_that_finds_nothing_is_followed_by_a_sweep(station):
    """Behind the cursor may be late commits, retries and released jobs."""
    receive(station, station.ask(NOW, 2), [job(1), job(2)])

    behind = station.ask(NOW, 5)
    assert not behind.swept
    receive(station, behind)
    assert station.ask(NOW, 5).swept


async def test_an_older_claim_that_finds_nothing_does_not_make_it_forget_a_look(station):
    """Two lanes: one is told to look, then the empty answer to the other's older claim comes. Were the station closed
    by it, the look would never be made, its bell would wait for ever, and the queue would be deaf."""
    older = station.ask(NOW, 5)
    look = station.look()
    receive(station, older)

    newer = station.ask(NOW, 5)
    assert newer is not None
    assert newer.swept
    receive(station, newer)
    assert look.result() == 0
    assert station.ask(NOW, 5) is None


async def test_a_look_whose_claim_was_lost_is_made_again(station):
    """The lane's connection broke under it, and meanwhile the other lane found nothing."""
    look = station.look()
    other = station.ask(NOW, 5)
    again = station.look()
    lost = station.ask(NOW, 5)
    receive(station, other)
    assert look.done()
    station.unask(lost)

    newer = station.ask(NOW, 5)
    assert newer is not None
    assert newer.swept
    receive(station, newer)
    assert again.result() == 0
