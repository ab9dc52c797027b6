"""The plans of the hot verbs, whatever the statistics say.

A queue's statistics are always wrong: analyzed while empty, hundreds of thousands of rows a second later. Each verb is
run so, and its plan read from the server. No time is measured: a scan of the table is a thousand times slower, but
that depends on the machine; the plan does not.
"""

import itertools
import re
from collections.abc import Callable

import psycopg
import pytest

from tests.sql.keys import expire, unique
from tests.sql.verbs import (
    A,
    abandon,
    claim,
    enqueue,
    exchange,
    fail,
    finish,
    register,
    release,
    rows,
    set_aside,
    snooze,
    value,
)

pytestmark = pytest.mark.integration

JOBS = 20_000
MOMENT = "2020-01-01 00:00+00"
"""Of a claim cursor: before all jobs."""


@pytest.fixture(autouse=True)
def plans_can_be_read(db: psycopg.Connection) -> None:
    """By auto_explain, part of every packaged Postgres; the server in the wheel comes without it."""
    try:
        db.execute("load 'auto_explain'")
    except psycopg.errors.UndefinedFile:
        pytest.skip("this server has no auto_explain, which reads the plans within functions; Debian's has")


@pytest.fixture(autouse=True)
def statistics_from_when_it_was_empty(db: psycopg.Connection) -> None:
    """And nobody to better them, which would also make every session plan anew."""
    db.execute("alter table pgqueue.job set (autovacuum_enabled = off)")
    db.execute("vacuum analyze pgqueue.job")


def fill(db: psycopg.Connection, jobs: int) -> None:
    """So many ready ones for each priority, and as many dated ahead."""
    with db.transaction():
        db.execute("set local synchronous_commit = off")
        db.execute(
            """insert into pgqueue.job (kind, priority, run_at)
               select 'noop', p, now() + case when n %% 2 = 0 then interval '1 day' else interval '-1 day' end
               from generate_series(0, 9) p, generate_series(1, 2 * %s) n""",
            [jobs],
        )


@pytest.fixture(params=["planned while empty", "planned for one job", "planned afterwards"])
def worker(request, db, sessions) -> psycopg.Connection:
    """A session whose plans date from before the jobs came, or from after; JIT would pay off at any cost."""
    (worker,) = sessions(1)
    worker.execute("set jit = on")
    worker.execute("set jit_above_cost = 0")
    if request.param == "planned for one job":  # everything looks cheap
        enqueue(db)
        db.execute("vacuum analyze pgqueue.job")
    if request.param != "planned afterwards":
        for _ in range(6):  # five custom plans, then the generic one
            use_all(worker, register(worker))
    fill(db, JOBS)
    return worker


def use_all(conn: psycopg.Connection, worker: int) -> None:
    released = claim(conn, A, 3)
    release(conn, A, released)
    failed = claim(conn, A, 3)
    fail(conn, A, failed, retry_in="1 hour")
    finished = claim(conn, worker, 3)
    finish(conn, worker, finished)
    exchange(conn, worker, claim(conn, worker, 3), limits=(3,))
    value(conn, "select pgqueue.next_run_at('default')")
    newest = rows(conn, "select * from pgqueue.claim_newest(%s, 'default', 3)", [A])
    release(conn, A, newest)
    release(conn, A, claim(conn, A, 40, after=([MOMENT] * 10, [0] * 10)))
    for conflict in ("keep", "replace", "latest"):
        unique(conn, on_conflict=conflict)
        unique(conn, unique_until="started", on_conflict="keep")
    expire(conn)


def plans(conn: psycopg.Connection, verb: Callable[[], object]) -> list[str]:
    """The plan of every statement within the verb."""
    told: list[str] = []
    conn.execute("load 'auto_explain'")
    for setting in (
        "client_min_messages = log",
        "auto_explain.log_min_duration = 0",
        "auto_explain.log_nested_statements = on",
    ):
        conn.execute(f"set {setting}")
    conn.add_notice_handler(lambda notice: told.append(notice.message_primary))
    verb()
    conn.execute("set auto_explain.log_min_duration = -1")
    return [plan for plan in told if "Query Text" in plan]


def test_no_hot_verb_ever_scans_the_jobs_or_compiles_its_plan(worker):
    """A scan and sort of the whole table made one claim take a second, JIT 200 ms."""
    found = plans(worker, lambda: use_all(worker, register(worker)))

    claims = [plan for plan in found if re.search(r"Index.* Scan using job_ready on job c", plan)]
    assert len(claims) >= 4
    assert sum("Tid Scan on job j" in plan for plan in claims) >= 4
    assert sum("Index Scan using job_ready on job j" in plan for plan in found) >= 10  # claim cursors are moved on
    for plan in found:
        assert not re.search(r"(Seq|Bitmap Heap) Scan on job\b", plan), plan
        assert not re.search(r"Sort Key: c\.", plan), plan
        if " on job" in plan:  # the call itself is the caller's statement, with the caller's settings
            assert "JIT:" not in plan, plan


@pytest.mark.parametrize("verb", [finish, release, fail, snooze, set_aside, abandon])
@pytest.mark.parametrize("count", [3, 2000])
@pytest.mark.parametrize("statistics", ["of waiting jobs", "of one job"])
def test_reported_jobs_are_found_by_their_id(db, sessions, verb, count, statistics):
    """A join the other way round reads all live jobs for each one that is reported: minutes instead of milliseconds.

    The statistics say that no worker holds anything, so it looks cheap to begin with the jobs of this one. In a table
    of one job everything looks cheap.
    """
    (worker,) = sessions(1)
    if statistics == "of one job":
        enqueue(db)
        db.execute("vacuum analyze pgqueue.job")
        for _ in range(6):
            verb(worker, A, [])
    fill(db, 200)
    if statistics == "of waiting jobs":
        db.execute("analyze pgqueue.job")

    found = plans(worker, lambda: verb(worker, A, claim(worker, A, count)))

    lines = [each for plan in found for each in itertools.pairwise(plan.splitlines())]
    scans = [each for each in lines if re.search(r" Scan using \w+ on job (j|j_\d)\b", each[0])]
    assert scans
    for scan, condition in scans:
        assert "using job_pkey" in scan, "\n".join(plan for plan in found if scan in plan)
        assert "Index Cond: (id = " in condition, "\n".join(plan for plan in found if scan in plan)


def test_a_lost_claim_is_found_without_reading_the_archive(db, sessions):
    """Its jobs of today may be millions, and one lost claim among a thousand outcomes is no reason to read them."""
    (worker,) = sessions(1)
    fill(db, 200)
    held = claim(worker, A, 9)
    lost = held[0]._replace(claims=held[0].claims + 1)

    found = plans(worker, lambda: finish(worker, A, [lost, *held[1:]]))

    asked = [plan for plan in found if re.search(r"Scan using \w+ on job_archive_completed\w* a", plan)]
    assert asked
    for plan in asked:
        assert re.search(r"Index Cond: \(id = ANY", plan), plan
        assert not re.search(r"Index (Only )?Scan .*\n(?!\s+Index Cond)", plan), plan


def test_the_moment_is_a_bound_of_the_index_and_not_a_filter(worker):
    """As a filter it would read through every job that is dated ahead."""
    found = plans(worker, lambda: use_all(worker, register(worker)))

    bounds = [line for plan in found for line in plan.splitlines() if "Index Cond" in line and "run_at <=" in line]
    assert len(bounds) >= 4
    assert not [line for plan in found for line in plan.splitlines() if "Filter" in line and "run_at <=" in line]
