"""`@job(transactional=True)`: the handler's writes and its job's completion in one transaction.

    begin → the handler, on that connection → finish_within → commit

If the claim was lost meanwhile, finish_within is an error and all of it is undone. If the answer to the commit is lost
nobody knows: the attempt is then reported as failed, as any other that raises, and that report changes nothing if the
commit took place after all. So is every other outcome reported, after a rollback.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus

from pgqueue import calls
from pgqueue.calls import Call, ClaimedJob
from pgqueue.errors import TransactionEnded
from pgqueue.worker.alchemy import Alchemy
from pgqueue.worker.attempt import Attempt, Inside
from pgqueue.worker.held import BEGIN, Held
from pgqueue.worker.outcomes import Completed, Recorded, of_result
from pgqueue.worker.pool import Pool


class Transactions:
    """The layer around transactional handlers. worker: gives the id under which this worker claims."""

    def __init__(self, pool: Pool, worker: Callable[[], int]) -> None:
        self._pool = pool
        self._alchemy = Alchemy(pool)
        self._worker = worker

    async def layer(self, attempt: Attempt, inside: Inside) -> Any:
        """Calls the handler in a transaction. Its answer is `Recorded` if that was committed."""
        job, worker = attempt.job, self._worker()
        async with self._pool.lend(attempt.task.is_async) as connection, contextlib.AsyncExitStack() as clothes:
            mark = f"{worker}:{job.id}:{job.claims}"
            dressed = await clothes.enter_async_context(self._alchemy.dressed(connection, attempt.task.handed))
            await self._pool.do(connection, functools.partial(connection.execute, BEGIN.format(mark)))
            attempt.context = dataclasses.replace(attempt.context, _connection=connection)
            attempt.arguments = {**attempt.arguments, **await dressed.begin()}
            connection.hold()
            try:
                result = await inside(attempt)
            except Exception as error:
                _check_not_ended(job, connection, error)
                raise
            done = _completed(attempt, result)
            if not done:
                _check_not_ended(job, connection, None)
                return result
            _check_not_given_up(connection)
            await dressed.finish()
            connection.held = False
            await self._pool.run(connection, _finish(worker, done, mark))
            await self._pool.do(connection, connection.commit)
            return Recorded(job)


def _completed(attempt: Attempt, result: Any) -> list[Completed]:
    """Those of the attempt's jobs that the handler completed: one or none, or some of a batch."""
    task = attempt.task
    if task.takes_batch is None:
        outcomes = [of_result(attempt.job, task, result)]
    else:
        outcomes = attempt.arguments[task.takes_batch].assembly.returned(result)
    return [outcome for outcome in outcomes if isinstance(outcome, Completed)]


def _finish(worker: int, done: list[Completed], mark: str) -> Call[None]:
    return calls.finish_within(
        worker,
        [outcome.job.id for outcome in done],
        [outcome.job.claims for outcome in done],
        [outcome.result for outcome in done],
        mark,
        [outcome.result_ttl for outcome in done],
    )


def _check_not_ended(job: ClaimedJob, connection: Held, error: Exception | None) -> None:
    """Refuses an outcome that leaves something behind, as far as it shows on this side."""
    if connection.pgconn.transaction_status == TransactionStatus.IDLE:
        raise TransactionEnded(
            f"the transaction of job {job.id} was committed or rolled back by its handler"
        ) from error


def _check_not_given_up(connection: Held) -> None:
    """Refuses to go on in a transaction that the server has given up."""
    if connection.pgconn.transaction_status == TransactionStatus.INERROR:
        raise psycopg.errors.InFailedSqlTransaction(
            "the handler caught an SQL error, but the server had given up the transaction; to go on after one, put "
            "what may fail into `with connection.transaction()`"
        )
