"""A job's life by the SQL functions and by a pure model, side by side: after every step both show the same.

    PGQUEUE_LIFE_EXAMPLES=5000 PGQUEUE_LIFE_SEED=7 python -m pytest tests/model/test_life.py -s

Without these variables the same stories are told each time. Time passes by moving columns into the past, not by
waiting.
"""

import math
import os
import random

import psycopg
import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from tests.model.life import CRASH_PAUSES, Life, Refused, Seen, World
from tests.sql import keys, verbs
from tests.sql.verbs import rows, value

pytestmark = pytest.mark.integration

JUST = 1.0
"""Seconds that the model's clock is never closer to a run_at than: the real clock runs on during the test."""
TOKENS = st.integers(0, 60)
WORKERS = st.integers(0, 2)
HOUR = 3600.0


class Claimed:
    """What a verb of `tests.sql.verbs` takes for a job."""

    def __init__(self, token: tuple[int, int]) -> None:
        self.id, self.claims = token


class Lives(RuleBasedStateMachine):
    """Three workers with fresh and stale tokens, an operator and a clock."""

    dsn: str

    @initialize()
    def begin(self) -> None:
        self.db = psycopg.connect(self.dsn, autocommit=True)
        self.db.execute(
            """truncate pgqueue.job, pgqueue.job_archive, pgqueue.attempt, pgqueue.postponed, pgqueue.worker
               restart identity"""
        )
        self.world = World()
        self.stewards: list[psycopg.Connection] = []
        self.tokens: list[tuple[int, int]] = [(4711, 1)]
        self.workers = [self._arrive() for _ in range(3)]
        for delay, expires in ((0.0, HOUR / 2), (0.0, None), (HOUR, None)):
            self.enqueue(max_attempts=2, priority=5, delay=delay, expires=expires)

    def teardown(self) -> None:
        if hasattr(self, "db"):
            for connection in (self.db, *self.stewards):
                connection.close()

    def _arrive(self) -> int:
        steward = psycopg.connect(self.dsn, autocommit=True)
        self.stewards.append(steward)
        worker = verbs.register(steward)
        self.world.workers.add(worker)
        return worker

    def _both(self, model, real, sqlstate):
        """Both do it with the same answer, or both refuse."""
        try:
            expected = model()
        except Refused:
            with pytest.raises(psycopg.Error) as refused:
                real()
            assert refused.value.sqlstate in sqlstate
            return None
        assert real() == expected
        return expected

    def _token(self, number: int) -> tuple[int, int]:
        """One that was given out, or never was; the youngest first."""
        return self.tokens[-1 - number % len(self.tokens)]

    def _reporter(self, number: int) -> tuple[int, tuple[int, int]]:
        """A worker and a token: mostly the holder and what it holds, else whatever."""
        held = [(job.worker, (id, job.claims)) for id, job in self.world.jobs.items() if job.worker is not None]
        if held and number % 3:
            return held[number % len(held)]
        return self.workers[number // 3 % 3], self._token(number // 9)

    @rule(
        max_attempts=st.integers(1, 3),
        priority=st.integers(3, 6),
        delay=st.sampled_from([0.0, 0.0, HOUR]),
        expires=st.sampled_from([None, HOUR / 2]),
    )
    def enqueue(self, max_attempts, priority, delay, expires):
        given = {} if expires is None else {"expires_in": f"{expires} seconds"}
        id = verbs.enqueue(self.db, max_attempts=max_attempts, priority=priority, delay=f"{delay} seconds", **given)
        self.world.now += 1e-3  # no two at the same moment
        run_at = self.world.now + delay
        last = math.inf if expires is None else run_at + expires
        self.world.jobs[id] = Life(max_attempts, run_at, priority, expires_at=last)

    @rule(worker=WORKERS, limit=st.integers(1, 3), number=TOKENS, hand_in=st.booleans())
    def exchange(self, worker, limit, number, hand_in):
        worker, (_, token) = self.workers[worker], self._reporter(number)
        given = [token] if hand_in else []

        def model():
            lost = [each[0] for each in given if not self.world.finish(worker, each)]
            return [*[(id, None) for id in lost], *self.world.claim(worker, limit)]

        def real():
            answer = verbs.exchange(self.db, worker, list(map(Claimed, given)), limits=[limit])
            return [(each.id, each.claims) for each in answer]

        told = self._both(model, real, {"PQ005"})
        self.tokens += [each for each in told or [] if each[1] is not None]

    @rule(number=TOKENS)
    def finish(self, number):
        worker, token = self._reporter(number)
        lost = [] if self.world.finish(worker, token) else [token[0]]
        assert verbs.finish(self.db, worker, [Claimed(token)]) == lost

    @rule(number=TOKENS, retry_in=st.sampled_from([None, 0.0, 0.0, HOUR]))
    def fail(self, number, retry_in):
        worker, token = self._reporter(number)
        self.world.now += 1e-3
        lost = [] if self.world.fail(worker, token, retry_in) else [token[0]]
        pause = None if retry_in is None else f"{retry_in} seconds"
        assert verbs.fail(self.db, worker, [Claimed(token)], retry_in=pause) == lost

    @rule(number=TOKENS)
    def release(self, number):
        worker, token = self._reporter(number)
        released = [token[0]] if self.world.release(worker, token) else []
        assert verbs.release(self.db, worker, [Claimed(token)]) == released

    @rule(number=TOKENS, delay=st.sampled_from([0.0, HOUR]))
    def snooze(self, number, delay):
        worker, token = self._reporter(number)
        self.world.now += 1e-3
        lost = [] if self.world.snooze(worker, token, delay) else [token[0]]
        assert verbs.snooze(self.db, worker, [Claimed(token)], f"{delay} seconds") == lost

    @rule(number=TOKENS)
    def abandon(self, number):
        worker, token = self._reporter(number)
        lost = [] if self.world.abandon(worker, token) else [token[0]]
        assert verbs.abandon(self.db, worker, [Claimed(token)]) == lost

    @rule(worker=WORKERS, numbers=st.lists(TOKENS, max_size=3))
    def reconcile(self, worker, numbers):
        worker, known = self.workers[worker], {self._token(number) for number in numbers}
        released = self.world.reconcile(worker, known)
        assert set(verbs.reconcile(self.db, worker, list(map(Claimed, known)))) == released

    @rule(worker=WORKERS)
    def beat(self, worker):
        id = self.workers[worker]
        if id in self.world.workers:
            verbs.heartbeat(self.db, id)
        else:
            with pytest.raises(psycopg.Error, match="declared dead or has left"):
                verbs.heartbeat(self.db, id)

    @rule(worker=WORKERS, back=st.booleans())
    def leave(self, worker, back):
        self.world.leave(self.workers[worker])
        self.db.execute("select pgqueue.leave(%s)", [self.workers[worker]])
        if back:
            self.come_back(worker)

    @rule(worker=WORKERS, back=st.booleans())
    def die(self, worker, back):
        """Its lock is let go, its beat is late, and the next rescue finds it."""
        id = self.workers[worker]
        if id not in self.world.workers:
            return
        self.world.now += 1e-3
        jobs = self.world.rescue(id)
        self.stewards[id - 1].execute("select pg_advisory_unlock_all()")
        verbs.silent_for(self.db, id, "10 seconds")
        assert verbs.rescue(self.db) == {id: jobs}
        self.pass_time(max(CRASH_PAUSES.values()))
        if back:
            self.come_back(worker)

    @rule(worker=WORKERS)
    def come_back(self, worker):
        """Under a new id; what is still reported under the old one comes from no living worker."""
        if self.workers[worker] not in self.world.workers:
            self.workers[worker] = self._arrive()

    @rule(seconds=st.sampled_from([HOUR / 2, HOUR]))
    def pass_time(self, seconds):
        self.world.now += seconds + JUST
        self.db.execute(
            """update pgqueue.job set run_at = run_at - make_interval(secs => %(by)s),
                   expires_at = expires_at - make_interval(secs => %(by)s)""",
            {"by": seconds + JUST},
        )

    @rule()
    def expire(self):
        assert keys.expire(self.db) == self.world.expire()

    @rule(number=TOKENS, fresh=st.booleans())
    def cancel(self, number, fresh):
        id = max(self.world.jobs) if fresh else self._token(number)[0]
        self._both(lambda: self.world.cancel(id), lambda: verbs.cancel(self.db, id), {"PQ003", "PQ004"})

    @rule(number=TOKENS)
    def retry(self, number):
        ended = [id for id, job in self.world.jobs.items() if job.state in ("failed", "cancelled", "expired")]
        id = ended[number % len(ended)] if ended and number % 4 else self._token(number)[0]
        self.world.now += 1e-3
        self._both(lambda: self.world.retry(id), lambda: verbs.retry(self.db, id), {"PQ003", "PQ004"})

    @invariant()
    def both_show_the_same(self):
        if not hasattr(self, "world"):
            return
        found = rows(
            self.db,
            """select v.id, v.state, v.attempt, coalesce(j.claims, a.claims),
                      (select count(*) from pgqueue.attempt f where f.job = v.id)
               from pgqueue.jobs v
               left join pgqueue.job j on j.id = v.id
               left join pgqueue.job_archive a on a.id = v.id""",
        )
        assert len(found) == len(self.world.jobs)
        assert {id: Seen(*seen) for id, *seen in found} == self.world.seen()
        assert value(self.db, "select count(*) from pgqueue.workers where state = 'running'") == len(self.world.workers)


def test_a_jobs_life_is_that_of_the_model(dsn):
    """Same states, same counts, same attempts after every step, by whichever road a job came there."""
    examples = int(os.environ.get("PGQUEUE_LIFE_EXAMPLES", "0"))
    story = int(os.environ.get("PGQUEUE_LIFE_SEED") or random.randrange(2**32))
    Lives.dsn = dsn
    common = {
        "deadline": None,
        "database": None,
        "stateful_step_count": 40,
        "suppress_health_check": list(HealthCheck),
    }
    if not examples:
        run_state_machine_as_test(
            Lives, settings=settings(max_examples=40, derandomize=True, phases=[Phase.generate, Phase.shrink], **common)
        )
        return
    print(f"PGQUEUE_LIFE_EXAMPLES={examples} PGQUEUE_LIFE_SEED={story}")
    run_state_machine_as_test(seed(story)(Lives), settings=settings(max_examples=examples, **common))
