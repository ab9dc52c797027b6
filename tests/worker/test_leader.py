"""The leader's judgement of who is dead: its clock is moved by hand, the server is a real one."""

import math
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from pgqueue.calls import Call
from pgqueue.worker.leader import FORGET, LATE, LONGEST_PAUSE, RESCUE, RESTARTED, TRY, Leader, Outage
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
        """create function pgqueue.rescue(p_grace interval) returns table (worker bigint, jobs integer) language sql
           as $$ select * from pgqueue.rescue_at_start(p_grace => '0 s') $$"""
    )


@pytest.mark.parametrize(
    ("away", "slowest", "grace"),
    [(0.2, 0, 1.3), (60, 0.1, 1.1 + 1.25 * LONGEST_PAUSE), (60, 5, 6 + 1.25 * LONGEST_PAUSE)],
)
def test_after_it_lost_its_connection_it_lets_the_others_come_back_first(db, sessions, away, slowest, grace):
    """What took its own may have taken everybody's: they are silent, and alive. They try as often as it does."""
    dead_worker(sessions)
    leader = Leader()
    leader.returned(Outage(1000 - away, slowest=slowest), 1000)
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


def test_an_outage_is_given_grace_for_once(db, sessions):
    """Its first turn afterwards is late too, and would begin the longest grace anew: in a bad night the jobs of the
    dead waited for the end of the last one."""
    leader = Leader()
    leader.tick(on(db), 1000)
    dead_worker(sessions)
    leader.returned(Outage(1001), 1000 + 60)

    leader.tick(on(db), 1000 + 61)
    leader.tick(on(db), 1000 + 62 + 1.25 * LONGEST_PAUSE)

    assert dead(db) == 1


@pytest.mark.parametrize(("whole", "grace"), [(True, 0), (False, RESTARTED)])
def test_who_saw_the_server_go_gives_no_second_grace_for_its_start(db, sessions, whole, grace):
    """The server cannot know how long it was away: one restart after another would put off every rescue by ten seconds.
    Only a worker that started meanwhile does not know either."""
    asked = []
    dead_worker(sessions)

    def do(call):
        asked.append(call.params.get("grace"))
        return on(db)(call)

    leader = Leader()
    leader.returned(Outage(999, whole=whole), 1000)
    leader.tick(do, 1000 + TRY)

    assert [each for each in asked if each is not None] == [grace]


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


def test_while_the_leader_is_frozen_others_end_what_expired(db, sessions):
    """It may keep the lead for minutes."""
    (leading,) = sessions(1)
    assert value(leading, "select pgqueue.lead()")
    expiring = enqueue(db, expires_in="1 hour")
    pass_expiry(db)

    Leader().tick(on(db), 1000)

    assert state(db, expiring) == "expired"


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
