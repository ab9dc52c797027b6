"""The desk: what a worker believes it holds."""

import asyncio

from pgqueue.worker.desk import Desk
from pgqueue.worker.station import Station
from tests.worker.test_station import job


async def told(desk):
    """The jobs that the desk says the worker holds, by id."""
    held = []

    async def tell(worker, jobs):
        held.extend(sorted(jobs))

    await desk.reconcile(tell)
    return held


async def test_a_claim_that_a_crashed_server_gave_out_again_is_not_started_twice():
    """Claims commit asynchronously: after a crash the server may give the same one to the worker that runs the job."""
    station = Station("default", 10, 0.0)
    desk = Desk([station])
    desk.worker = 1

    async with asyncio.timeout(5):
        desk.done(await desk.take(60), [job(1), job(2)], 0.001)
        running = station.take()
        station.look()
        desk.done(await desk.take(60), [job(1), job(2), job(3)], 0.001)

    assert running == job(1)
    assert list(station.buffer) == [job(2), job(3)]


async def test_the_next_claim_of_a_job_is_another_job_to_run():
    """A retry comes back to the worker that failed it, maybe before the report of the first attempt is back."""
    station = Station("default", 10, 0.0)
    desk = Desk([station])
    desk.worker = 1
    again = job(1)._replace(claims=2, attempt=2)

    async with asyncio.timeout(5):
        desk.done(await desk.take(60), [job(1)], 0.001)
        station.look()
        desk.done(await desk.take(60), [again], 0.001)

    assert list(station.buffer) == [job(1), again]


async def test_a_report_lets_go_of_its_own_claim_only():
    """Its job may be here again before it is back; a reconnect that forgot the new claim would give the job away."""
    station = Station("default", 10, 0.0)
    desk = Desk([station])
    desk.worker = 1
    again = job(2)._replace(claims=2, attempt=2)
    desk.done(await desk.take(60), [job(1), job(2), job(3)], 0.001)
    for done in (job(1), job(2)):
        desk.completed(done)

    reporting = await desk.take(60)
    station.look()
    desk.done(await desk.take(60), [again], 0.001)
    desk.done(reporting, [], 0.001)

    assert await told(desk) == [again, job(3)]


async def test_a_job_reported_under_both_its_claims_is_held_no_more():
    """It ran on after its claim was lost, and was claimed here again; else every reconnect tells the server of it."""
    desk = Desk([Station("default", 10, 0.0)])
    desk.worker = 1
    again = job(1)._replace(claims=2, attempt=2)
    desk.done(await desk.take(60), [again], 0.001)
    for done in (job(1), again):
        desk.completed(done)

    desk.done(await desk.take(60), [], 0.001)

    assert await told(desk) == []


async def test_jobs_whose_claims_are_others_now_are_not_started():
    """A server that crashed forgot the claims; the rest of the buffer stays as it was."""
    desk = Desk([Station("default", 10, 0.0)])
    desk.worker = 1
    desk.done(await desk.take(60), [job(1), job(2), job(3)], 0.001)

    desk.drop({(1, 1), (3, 2)})

    assert [waiting.id for waiting in desk.stations["default"].buffer] == [2, 3]
    assert await told(desk) == [job(2), job(3)]


async def test_a_lane_without_work_comes_back_empty_handed():
    """To ask whether anybody still answers."""
    desk = Desk([Station("default", 10, 0.0)])
    desk.worker = 1
    desk.done(await desk.take(60), [], 0.001)  # a sweep that found nothing

    assert not await desk.take(0.01)


async def test_a_roll_call_sends_every_idle_lane_to_its_connection():
    """One connection is lost: the others may be too, and a claim that a crash forgot should not wait for it."""
    desk = Desk([Station("default", 10, 0.0)])
    desk.worker = 1
    desk.done(await desk.take(60), [], 0.001)
    lanes = [asyncio.create_task(desk.take(60)) for _ in range(2)]
    await asyncio.sleep(0)

    desk.roll_call()

    async with asyncio.timeout(5):
        assert not any([await lane for lane in lanes])
