"""report: what running jobs say of themselves, beside the rows that claims and outcomes need."""

import psycopg
import pytest

from tests.sql.contract import columns
from tests.sql.verbs import (
    A,
    B,
    cancel,
    claim,
    claimed,
    enqueue,
    fail,
    finish,
    job,
    release,
    retry,
    rows,
    tokens,
    value,
    values,
)

pytestmark = pytest.mark.integration


def report(conn, worker, jobs, fractions=(0.5,), messages=(None,), lines=()):
    """lines: (place, number, age in seconds, level, text) of each."""
    told = [list(column) for column in zip(*lines, strict=True)] or [None] * 5
    conn.execute(
        """select pgqueue.report(%s, %s::bigint[], %s::integer[], %s::double precision[], %s::text[],
               %s::integer[], %s::integer[], %s::double precision[], %s::text[], %s::text[])""",
        [worker, *tokens(jobs), list(fractions), list(messages), *told],
    )


def progress(db, id):
    found = job(db, id)
    return found.progress, found.progress_message


def log(db, id):
    return [
        tuple(line)
        for line in rows(
            db, "select attempt, line, level, text from pgqueue.job_logs where job = %s order by claims, line", [id]
        )
    ]


def test_progress_is_seen_while_the_job_runs(db):
    """By everybody who looks at the view jobs."""
    first, second, silent = claimed(db), claimed(db), claimed(db)

    report(db, A, [first, second], [0.25, 1.0], ["page 1 of 4", None])

    assert progress(db, first.id) == (0.25, "page 1 of 4")
    assert progress(db, second.id) == (1.0, None)
    assert progress(db, silent.id) == (None, None)


def test_the_latest_counts(db):
    """One row for each job, however often it reports, and rewritten in place."""
    taken = claimed(db)
    with db.transaction():
        for fraction in (0.1, 0.2, 0.3):
            report(db, A, [taken], [fraction], [f"{fraction}"])
        hot = value(db, "select n_tup_hot_upd from pg_stat_xact_user_tables where relname = 'progress'")

    assert progress(db, taken.id) == (0.3, "0.3")
    assert value(db, "select count(*) from pgqueue.progress") == 1
    assert hot == 2


def test_lines_are_kept_in_their_order(db):
    """With level, attempt and the moment they were written, by the database's clock."""
    first, second = claimed(db), claimed(db)
    report(db, A, [first, second], [None, None], [None, None], [(1, 1, 60, "info", "a"), (2, 1, 0, "error", "b")])
    report(db, A, [first], [None], [None], [(1, 2, 0, "warning", "ü€\n2")])

    assert log(db, first.id) == [(1, 1, "info", "a"), (1, 2, "warning", "ü€\n2")]
    assert log(db, second.id) == [(1, 1, "error", "b")]
    ages = values(db, "select round(extract(epoch from clock_timestamp() - at) / 60) from pgqueue.job_logs order by at")
    assert ages == [1, 0, 0]


def test_a_report_that_is_made_again_changes_nothing(db):
    """Its answer may be lost with the connection."""
    taken = claimed(db)
    for _ in range(2):
        report(db, A, [taken], [0.5], ["half"], [(1, 1, 0, "info", "once")])

    assert log(db, taken.id) == [(1, 1, "info", "once")]


def test_who_lost_the_claim_says_nothing_any_more(db):
    """Whoever holds the job now speaks for it."""
    stale = claimed(db)
    release(db, A, [stale])
    (fresh,) = claim(db, B)
    report(db, B, [fresh], [0.1], ["fresh"], [(1, 1, 0, "info", "fresh")])

    report(db, A, [stale], [0.9], ["stale"], [(1, 1, 0, "info", "stale")])
    report(db, B, [stale], [0.9], ["stale"], [(1, 1, 0, "info", "stale")])

    assert progress(db, fresh.id) == (0.1, "fresh")
    assert [text for _, _, _, text in log(db, fresh.id)] == ["fresh"]


def test_nothing_is_kept_of_a_job_that_waits_or_does_not_exist(db):
    """Its rows would belong to nobody."""
    waiting = claimed(db)
    fail(db, A, [waiting], retry_in="1 hour")
    ended = claimed(db)
    release(db, A, [ended])
    cancel(db, ended.id)

    report(db, A, [waiting, ended, ended._replace(id=4711)], [0.5] * 3, [None] * 3, [(3, 1, 0, "info", "x")])

    assert values(db, "select job from pgqueue.progress union all select job from pgqueue.job_log") == []


def test_last_words_of_a_job_that_was_completed_within_its_handlers_transaction_are_kept(db):
    """That commit comes before the worker's next word."""
    taken = claimed(db)
    finish(db, A, [taken])

    report(db, B, [taken], [0.1], ["not its worker"])
    report(db, A, [taken], [1], ["done"], [(1, 1, 0, "info", "last")])

    assert progress(db, taken.id) == (1, "done")
    assert log(db, taken.id) == [(1, 1, "info", "last")]


def test_the_next_attempt_begins_anew_and_the_lines_of_the_first_stay(db):
    """Progress is that of the attempt, the log that of the job."""
    taken = claimed(db)
    report(db, A, [taken], [0.8], ["nearly"], [(1, 1, 0, "info", "first")])
    fail(db, A, [taken], retry_in="0")
    assert progress(db, taken.id) == (0.8, "nearly")

    (again,) = claim(db, A)
    assert progress(db, taken.id) == (None, None)
    report(db, A, [again], [None], [None], [(1, 1, 0, "info", "second")])

    assert progress(db, taken.id) == (None, None)
    assert log(db, taken.id) == [(1, 1, "info", "first"), (2, 1, "info", "second")]


def test_progress_and_log_stay_with_a_finished_job(db):
    """To see how far it came, and why not further; also after a retry by hand."""
    taken = claimed(db)
    report(db, A, [taken], [0.8], ["nearly"], [(1, 1, 0, "info", "x")])
    fail(db, A, [taken])
    assert progress(db, taken.id) == (0.8, "nearly")

    retry(db, taken.id)
    assert len(log(db, taken.id)) == 1


def test_the_rows_that_claims_need_are_not_touched(db, sessions):
    """A report waits for nobody who holds the job's row, and leaves no version of it behind."""
    (other,) = sessions(1)
    taken = claimed(db)
    before = value(db, "select ctid::text from pgqueue.job where id = %s", [taken.id])
    with other.transaction():
        other.execute("select from pgqueue.job for update")
        db.execute("set statement_timeout = '10s'")
        report(db, A, [taken], [0.5], ["half"])

    assert value(db, "select ctid::text from pgqueue.job where id = %s", [taken.id]) == before


def test_it_waits_only_an_instant_for_who_locks_its_tables(db, sessions):
    """An operator's lock must not keep outcomes waiting, which travel behind it."""
    (operator,) = sessions(1)
    taken = claimed(db)
    with operator.transaction():
        operator.execute("lock table pgqueue.job_log")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            report(db, A, [taken], lines=[(1, 1, 0, "info", "x")])


def test_what_a_job_said_goes_with_the_job(db):
    """Retention knows one time for all of it."""
    completed, live, recent = claimed(db), claimed(db), claimed(db)
    report(db, A, [completed, live, recent], [1] * 3, [None] * 3, [(n, 1, 0, "info", "x") for n in (1, 2, 3)])
    finish(db, A, [completed, recent])
    db.execute("select pgqueue.maintain()")
    assert value(db, "select count(*) from pgqueue.job_log") == 3

    db.execute("update pgqueue.job_archive set finished_at = now() - interval '2 days' where id = %s", [completed.id])
    db.execute("update pgqueue.progress set updated_at = now() - interval '2 days'")
    db.execute("select pgqueue.maintain()")
    db.execute("select pgqueue.maintain()")

    assert values(db, "select job from pgqueue.progress order by 1") == [live.id, recent.id]
    assert values(db, "select job from pgqueue.job_log order by 1") == [live.id, recent.id]


def test_its_views_columns_are_a_contract(db):
    """Dashboards and scripts of other people read them. More may come at the end."""
    assert columns(db, "job_logs")[:7] == [
        ("job", "bigint"),
        ("attempt", "smallint"),
        ("at", "timestamp with time zone"),
        ("level", "text"),
        ("text", "text"),
        ("claims", "integer"),
        ("line", "integer"),
    ]
    found = columns(db, "jobs")
    assert found[16:18] == [("progress", "double precision"), ("progress_message", "text")]


def test_the_newest_jobs_are_listed_without_looking_at_all_of_them(db):
    """Progress is looked up for the fifty that are shown, not for the two hundred thousand that wait."""
    db.execute("insert into pgqueue.job (kind) select 'noop' from generate_series(1, 20000)")
    db.execute("insert into pgqueue.progress (job, claims, fraction) select id, 0, 0.5 from pgqueue.job")
    db.execute("analyze pgqueue.job")
    db.execute("analyze pgqueue.progress")

    (plan,) = values(db, "explain (analyze, buffers, format json) select * from pgqueue.jobs order by id desc limit 50")

    pages = plan[0]["Plan"]["Shared Hit Blocks"] + plan[0]["Plan"]["Shared Read Blocks"]
    assert pages < 1_500, plan
    assert enqueue(db)
