"""The fence itself is tested: with it removed from a verb, the check that guards it must fail.

Each check is a function that passes on the true code. A mutant is the verb's own file with the predicate cut out of
its text, installed in the test's database.
"""

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import psycopg
import pytest

from tests.sql.test_report import report
from tests.sql.verbs import (
    A,
    B,
    abandon,
    claim,
    claimed,
    dead_worker,
    enqueue,
    everything,
    exchange,
    fail,
    finish,
    heartbeat,
    live,
    once,
    reconcile,
    release,
    rescue,
    set_aside,
    snooze,
    value,
)

FUNCTIONS = Path(__file__).parents[2] / "sql" / "functions"
pytestmark = pytest.mark.integration


def older_claim(report: Callable) -> Callable:
    """A claim that was given back and taken again by the same worker: the older one must not be heard."""

    def check(db, sessions):
        old = claimed(db, A)
        release(db, A, [old])
        claim(db, A)
        before = everything(db)
        report(db, A, [old])
        assert everything(db) == before

    return check


def other_worker(report: Callable) -> Callable:
    """A job that another worker holds, under the right number of its claim: only the holder is heard."""

    def check(db, sessions):
        job = claimed(db, A)
        before = everything(db)
        report(db, B, [job])
        assert everything(db) == before

    return check


def reconcile_leaves_others_alone(db, sessions):
    """What another worker holds is none of its business."""
    job = claimed(db, A)
    reconcile(db, B, [])
    assert live(db, job.id).worker == A


def reconcile_gives_back_an_unknown_claim(db, sessions):
    """It knows an older claim on the job, not the present one: nobody would ever run it."""
    old = claimed(db, A)
    release(db, A, [old])
    claim(db, A)
    assert reconcile(db, A, [old]) == [old.id]


def dead_may_not(verb: Callable) -> Callable:
    """A worker that was declared dead is told so."""

    def check(db, sessions):
        dead = dead_worker(sessions)
        rescue(db)
        enqueue(db)
        with pytest.raises(psycopg.Error) as refused:
            verb(db, dead)
        assert refused.value.sqlstate == "PQ005"

    return check


def hand_in(db, worker, jobs):
    return exchange(db, worker, jobs, queues=[], limits=[])


class Cut(NamedTuple):
    """verb: the file whose text is changed. out: what is taken out of it; instead: what is put there."""

    verb: str
    out: str
    instead: str = ""


CLAIM, WORKER, ALIVE = " and j.claims = t.claims", " and j.worker = p_worker", " and w.died_at is null"
CHECKED = "perform pgqueue.check_worker(p_worker);"


def step(db, worker, jobs):
    with contextlib.suppress(psycopg.Error):
        once(db, worker, jobs[0], "charge", {"paid": True})


def attach(db, worker):
    return value(db, "select pgqueue.attach(%s)", [worker])


MUTANTS: dict[str, tuple[Callable, list[Cut]]] = {
    "finish, claim": (older_claim(finish), [Cut("finish", CLAIM)]),
    "finish, worker": (other_worker(finish), [Cut("finish", WORKER)]),
    "fail, claim": (older_claim(fail), [Cut("fail", CLAIM)]),
    "fail, worker": (other_worker(fail), [Cut("fail", WORKER)]),
    "release, claim": (older_claim(release), [Cut("release", CLAIM)]),
    "release, worker": (other_worker(release), [Cut("release", WORKER)]),
    "snooze, claim": (older_claim(snooze), [Cut("snooze", CLAIM)]),
    "snooze, worker": (other_worker(snooze), [Cut("snooze", WORKER)]),
    "set_aside, claim": (older_claim(set_aside), [Cut("snooze", CLAIM)]),
    "set_aside, worker": (other_worker(set_aside), [Cut("snooze", WORKER)]),
    "abandon, claim": (older_claim(abandon), [Cut("abandon", CLAIM)]),
    "abandon, worker": (other_worker(abandon), [Cut("abandon", WORKER)]),
    "report, claim": (older_claim(report), [Cut("report", CLAIM)]),
    "report, worker": (other_worker(report), [Cut("report", WORKER)]),
    "once, claim": (older_claim(step), [Cut("once", " and j.claims = p_claims")]),
    "once, worker": (other_worker(step), [Cut("once", WORKER)]),
    "reconcile, claim": (reconcile_gives_back_an_unknown_claim, [Cut("reconcile", " and t.claims = j.claims")]),
    # Fenced twice: by what it looks for, and by release.
    "reconcile, worker": (
        reconcile_leaves_others_alone,
        [Cut("reconcile", "where j.worker = p_worker", "where true"), Cut("release", WORKER)],
    ),
    "exchange, claim": (older_claim(hand_in), [Cut("finish", CLAIM)]),
    "exchange, worker": (other_worker(hand_in), [Cut("finish", WORKER)]),
    "exchange, dead": (dead_may_not(exchange), [Cut("exchange", CHECKED)]),
    "heartbeat, dead": (dead_may_not(heartbeat), [Cut("heartbeat", ALIVE)]),
    "attach, dead": (dead_may_not(attach), [Cut("attach", CHECKED)]),
}


def install(db: psycopg.Connection, cut: Cut) -> None:
    """The verb without that part of its text."""
    text = (FUNCTIONS / f"{cut.verb}.sql").read_text()
    changed = text.replace(cut.out, cut.instead)
    assert changed != text, f"{cut.out!r} is not in {cut.verb}.sql any more: change this test with it"
    db.execute(changed.encode())


@pytest.mark.parametrize("name", MUTANTS)
def test_the_fence_of_each_verb_is_what_its_check_guards(db, sessions, name):
    """Passes on the true code, fails on the code without the predicate: so it is needed, and it is checked."""
    check, cuts = MUTANTS[name]
    check(db, sessions)

    db.execute("truncate pgqueue.job, pgqueue.job_archive, pgqueue.attempt, pgqueue.worker")
    for cut in cuts:
        install(db, cut)
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        check(db, sessions)
