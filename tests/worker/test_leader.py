"""The leader's judgement of who is dead: its clock is moved by hand, the server is a real one."""

import math
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from pgqueue.calls import Call
from pgqueue.worker.leader import FORGET, LATE, LONGEST_GRACE, RESCUE, Leader
from tests.sql.keys import pass_expiry, running, unique
from tests.sql.verbs import A, dead_worker, enqueue, finish, state, value

pytestmark = pytest.mark.integration


def on(db: psycopg.Connection) -> Callable[[Call[Any]], Any]:
    return lambda call: call.read(db.execute(call.sql, call.params).fetchall())


def dead(db: psycopg.Connection) -> int:
    return value(db, "select count(*) from pgqueue.workers where state = 'dead'")


@pytest.fixture(autouse=True)
def _long_up(db: psycopg.Connection) -> None:
    """The grace after the server's own start is another one: here it has been up for long."""
    db.execute("alter function pgqueue.rescue(interval, interval, interval) rename to rescue_at_start")
    db.execute(
        """create function pgqueue.rescue() returns table (worker bigint, jobs integer) language sql
           as $$ select * from pgqueue.rescue_at_start(p_grace => '0 s') $$"""
    )


@pytest.mark.parametrize(("away", "grace"), [(0.2, 1.3), (4, 7), (60, LONGEST_GRACE)])
def test_after_it_lost_its_connection_it_lets_the_others_come_back_first(db, sessions, away, grace):
    """What took its own may have taken everybody's: they are silent, and alive."""
    dead_worker(sessions)
    leader = Leader()
    leader.returned(away, 1000)
    for second in range(math.ceil(grace)):
        leader.tick(on(db), 1000 + second)
        assert dead(db) == 0

    leader.tick(on(db), 1000 + grace + 0.01)

    assert dead(db) == 1


def test_after_it_was_frozen_itself_it_lets_the_others_come_back_first(db, sessions):
    """A paused machine, or a server too busy to hear beats: nobody else was heard either."""
    leader = Leader()
    leader.tick(on(db), 1000)
    dead_worker(sessions)

    leader.tick(on(db), 1000 + LATE + 1)
    assert dead(db) == 0

    for second in range(20):
        leader.tick(on(db), 1000 + LATE + 2 + second)
    assert dead(db) == 1


def test_who_does_not_lead_looks_now_and_then(db, sessions):
    """The leader may be the one that froze."""
    (leading,) = sessions(1)
    assert value(leading, "select pgqueue.lead()")
    leader = Leader()
    leader.tick(on(db), 1000)
    dead_worker(sessions)

    leader.tick(on(db), 1001)
    assert dead(db) == 0

    for second in range(2, int(RESCUE) + 1):
        leader.tick(on(db), 1000 + second)
    assert dead(db) == 1


def test_each_tick_of_the_leader_ends_what_expired_and_lets_follow_what_waited(db):
    """Nobody else does."""
    expiring = enqueue(db, expires_in="1 hour")
    pass_expiry(db)
    unique(db)
    taken = running(db)
    waiting = unique(db, on_conflict="latest")
    finish(db, A, [taken])

    Leader().tick(on(db), 1000)

    assert (state(db, expiring), state(db, waiting.id)) == ("expired", "ready")


def test_the_leader_forgets_keys_that_nobody_holds(db):
    """Now and then, and goes on at the next tick while there are more."""
    leader = Leader()
    leader.tick(on(db), 1000)
    unique(db)
    finish(db, A, [running(db)])

    leader.tick(on(db), 1000 + FORGET - 1)
    assert value(db, "select count(*) from pgqueue.unique_key") == 1
    leader.tick(on(db), 1000 + FORGET + 1)
    assert value(db, "select count(*) from pgqueue.unique_key") == 0
