"""pgqueue.pass_taken: a claim leaps over what other workers have, and over nothing that is free."""

import random
from typing import Any

import psycopg
import pytest

from tests.sql.verbs import A, B, claim, enqueue, ids, release, row, value, values

pytestmark = pytest.mark.integration

SHAPES = {
    "all at one moment": "'0'",
    "seven microseconds apart": "n * interval '7 us'",
    "an hour apart": "n * interval '1 hour'",
    "a dozen at each moment": "(n / 12) * interval '1 ms'",
    "a thousand at each moment": "(n / 1000) * interval '1 s'",
    "closer and closer": "sqrt(n + 100) * interval '1 min'",
    "farther and farther": "n * n * interval '1 ms'",
    "with a gap of a month": "n * interval '1 ms' + (n / 700) * interval '30 days'",
}


FETCHED = "select idx_tup_fetch from pg_stat_xact_user_tables where relid = 'pgqueue.job'::regclass"
"""Rows of pgqueue.job that this session read by an index."""


def fill(db: psycopg.Connection, jobs: int, shape: str) -> None:
    """Jobs whose run_at, from 2010 on, are `shape`, an interval by their number n."""
    db.execute(
        f"insert into pgqueue.job (kind, run_at) select 'noop', timestamptz '2010-01-01' + {shape}"
        " from generate_series(0, %s - 1) n",
        [jobs],
    )


def after(job: Any) -> tuple[list[Any], list[Any]]:
    """The cursor of a worker whose last job this was."""
    return [job.run_at if n == 5 else None for n in range(10)], [job.id if n == 5 else None for n in range(10)]


def passed(db: psycopg.Connection, cursor: tuple[list[Any], list[Any]], limit: int = 100) -> tuple[Any, int]:
    """Where the cursor of priority 5 is moved to."""
    moved = row(
        db,
        "select * from pgqueue.pass_taken('default', %s, %s::timestamptz[], %s::bigint[])",
        [limit, *cursor],
    )
    return moved.p_after_run_at[5], moved.p_after_id[5]


def behind(db: psycopg.Connection, place: tuple[Any, int], taken: bool) -> int:
    """Jobs up to that place that are taken, or free."""
    return value(
        db,
        "select count(*) from pgqueue.job where (run_at, id) <= (%s, %s) and (worker is not null) = %s",
        [*place, taken],
    )


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("taken", [20, 333, 2000])
def test_no_free_job_is_passed_and_hardly_a_taken_one_is_left(db, shape, taken):
    """However the jobs lie in time: what is passed and free would wait for a sweep."""
    fill(db, 3000, shape)
    (first,) = claim(db, B)
    claim(db, A, taken)

    place = passed(db, after(first))

    assert behind(db, place, taken=False) == 0
    assert taken + 1 - behind(db, place, taken=True) <= max(60, taken // 5)


def test_jobs_that_another_is_claiming_right_now_are_passed(db, sessions):
    """Most of what lies there: with many workers nearly each of them has an exchange under way."""
    fill(db, 3000, SHAPES["seven microseconds apart"])
    (first,) = claim(db, B)
    (other,) = sessions(1)
    with other.transaction():
        taken = claim(other, A, 2000)

        place = passed(db, after(first))

        assert (taken[1900].run_at, taken[1900].id) < place <= (taken[-1].run_at, taken[-1].id)


def test_a_claim_reads_few_of_the_rows_that_others_hold(db):
    """That is what it is for. Row by row, eight workers went past seven jobs for each they got."""
    fill(db, 6000, SHAPES["seven microseconds apart"])
    (first,) = claim(db, B)
    claim(db, A, 5000)
    with db.transaction():
        before = value(db, FETCHED)
        jobs = claim(db, B, 100, after=after(first))
        read = value(db, FETCHED) - before

    assert len(jobs) == 100
    assert read < 100 + 200


def test_what_is_finished_before_the_next_job_does_not_hide_where_the_others_end(db):
    """The way to the next job that is left is none by which to leap: ten thousand may have been between."""
    fill(db, 6000, SHAPES["seven microseconds apart"])
    (first,) = claim(db, B)
    finished = claim(db, A, 3000)
    db.execute("select pgqueue.finish(%s, %s, %s)", [A, ids(finished), [job.claims for job in finished]])
    claim(db, A, 2000)
    with db.transaction():
        before = value(db, FETCHED)
        jobs = claim(db, B, 100, after=after(first))
        read = value(db, FETCHED) - before

    assert len(jobs) == 100
    assert read < 100 + 200


def test_workers_in_turns_get_every_job_once_and_in_order(db):
    """With nothing that comes free again no leap may leave a job behind, whatever the others took in between."""
    chance = random.Random(7)
    fill(db, 3000, SHAPES["a dozen at each moment"])
    cursors: dict[int, Any] = {}
    given: list[tuple[Any, int]] = []
    while jobs := claim(db, worker := chance.choice([A, B, 1003, 1004]), chance.choice([5, 32, 60, 100]), after=(
        cursors.get(worker, (None, None))
    )):  # fmt: skip
        given += [(job.run_at, job.id) for job in jobs]
        cursors[worker] = after(jobs[-1])

    assert len(given) == 3000
    assert given == sorted(given)


def test_a_job_that_came_free_between_others_is_found_by_a_sweep(db):
    """The price of a leap, as of the cursor: its worker gave it back, and the others have passed it."""
    fill(db, 1000, SHAPES["seven microseconds apart"])
    (first,) = claim(db, B)
    taken = claim(db, A, 500)
    release(db, A, [taken[250]])

    assert taken[250].id not in ids(claim(db, B, 100, after=after(first)))
    assert ids(claim(db, B)) == [taken[250].id]


def test_a_free_job_next_to_the_cursor_stays_next_to_it(db):
    """Also if many after it are taken."""
    fill(db, 100, SHAPES["all at one moment"])
    first, free, *_ = jobs = claim(db, B, 50)
    release(db, B, [free])

    assert ids(claim(db, B, 32, after=after(first)))[0] == free.id
    assert len(jobs) == 50


def test_cursors_that_nothing_lies_behind_stay(db):
    """An empty queue, jobs dated ahead only, and moments with which one cannot reckon."""
    job = enqueue(db)
    (last,) = claim(db, A)
    assert last.id == job
    enqueue(db, run_at="2999-01-01")
    db.execute("insert into pgqueue.job (kind, run_at) values ('noop', 'infinity')")

    assert passed(db, after(last)) == (last.run_at, last.id)
    assert passed(db, ([None] * 10, [None] * 10)) == (None, None)


def test_a_leap_ends_within_time(db):
    """Moments end in the year 294276, and a thousand times five hundred years is more."""
    for year in ("0500", "1000", "1500", "2000"):
        enqueue(db, run_at=f"{year}-01-01")
    first, _ = claim(db, A, 2)

    assert len(claim(db, B, 1000, after=after(first))) == 2


def test_ids_may_lie_far_apart(db):
    """Whoever brought jobs along from elsewhere may have set their ids."""
    db.execute(
        """insert into pgqueue.job (id, kind, run_at) overriding system value
           select n * 100000000000000000, 'noop', '2020-01-01' from generate_series(1, 60) n"""
    )
    first, *_ = claim(db, A, 40)

    assert len(claim(db, B, 1000, after=after(first))) == 20


def test_a_job_of_the_beginning_of_time_is_no_obstacle(db):
    """One cannot reckon from -infinity on: it is gone past row by row."""
    db.execute("insert into pgqueue.job (kind, run_at) select 'noop', '-infinity' from generate_series(1, 40)")
    enqueue(db)
    taken = values(db, "select id from pgqueue.claim(%s, 'default', 30)", [A])
    cursor = (["-infinity" if n == 5 else None for n in range(10)], [taken[0] if n == 5 else None for n in range(10)])

    left = values(db, "select id from pgqueue.claim(%s, 'default', 100, %s::timestamptz[], %s::bigint[])", [B, *cursor])

    assert len(left) == 11


def test_jobs_that_were_given_back_are_free_again(db):
    """Their rows go on keeping who held them: a backlog of retries would wait for sweeps, all of it."""
    fill(db, 1000, SHAPES["seven microseconds apart"])
    (first,) = claim(db, B)
    release(db, A, claim(db, A, 900))

    assert ids(claim(db, B, 100, after=after(first))) == list(range(first.id + 1, first.id + 101))


def test_a_claim_that_was_rolled_back_took_nothing(db, sessions):
    """Its rows keep its mark too."""
    fill(db, 1000, SHAPES["seven microseconds apart"])
    (first,) = claim(db, B)
    (other,) = sessions(1)
    with other.transaction(force_rollback=True):
        claim(other, A, 500)

    assert ids(claim(db, B, 100, after=after(first))) == list(range(first.id + 1, first.id + 101))
