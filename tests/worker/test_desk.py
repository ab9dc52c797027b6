"""The desk: what a worker believes it holds."""

import asyncio

from pgqueue.worker.desk import Desk
from pgqueue.worker.station import Station
from tests.worker.test_station import job


async def test_a_claim_that_a_crashed_server_gave_out_again_is_not_started_twice():
    """Claims commit asynchronously: after a crash the server may give the same one to the worker that runs the job."""
    station = Station("default", 10, 0.0)
    desk = Desk([station])
    desk.worker = 1

    async with asyncio.timeout(5):
        desk.done(await desk.take(), [job(1), job(2)], 0.001)
        running = station.take()
        station.look()
        desk.done(await desk.take(), [job(1), job(2), job(3)], 0.001)

    assert running == job(1)
    assert list(station.buffer) == [job(2), job(3)]


async def test_the_next_claim_of_a_job_is_another_job_to_run():
    """A retry comes back to the worker that failed it, maybe before the report of the first attempt is back."""
    station = Station("default", 10, 0.0)
    desk = Desk([station])
    desk.worker = 1
    again = job(1)._replace(claims=2, attempt=2)

    async with asyncio.timeout(5):
        desk.done(await desk.take(), [job(1)], 0.001)
        station.look()
        desk.done(await desk.take(), [again], 0.001)

    assert list(station.buffer) == [job(1), again]
