"""Databases as published revisions made them, with the functions of their time, come to head.

published/ keeps what `pgqueue migrate --sql` printed then. Steps alone are not enough: a function cannot be replaced by
one that returns something else, so the step has to drop it first.
"""

import psycopg
import pytest

from pgqueue import migrations
from tests.sql.bells import forget, heard, park, settled
from tests.sql.verbs import rows, value, values
from tests.upgrade.conftest import ROOT

pytestmark = pytest.mark.integration

PUBLISHED = sorted((ROOT / "tests" / "upgrade" / "published").glob("*.sql"))
WITHOUT_BITS = [path for path in PUBLISHED if path.stem < "0006"]
"""Those whose producers asked by locks alone whether somebody sleeps."""
REGISTER = "select pgqueue.register('w', 'h', 1, '0.1.0', '{\"default\": 5}'::jsonb)"
EXCHANGE = """select e.id, e.claims, e.queue, e.kind, e.args::text, e.priority, e.attempt, e.max_attempts, e.run_at,
    e.created_at, e.timeout from pgqueue.exchange(%s, %s::bigint[], %s::integer[], null::jsonb[], array['default'],
    array[%s], null::timestamptz[], null::bigint[]) e"""


@pytest.fixture(params=PUBLISHED, ids=lambda path: path.stem)
def published(request, fresh, psql):
    """A database as one of them made it."""
    dsn = fresh()
    done = psql(dsn, "--file", str(request.param))
    assert (done.returncode, done.stderr) == (0, "")
    return dsn


def use(connection: psycopg.Connection) -> None:
    """Leaves jobs in each state, by a worker of that time whose calls are frozen here."""
    for n in range(5):
        connection.execute("select * from pgqueue.enqueue(kind => %s, args => '{\"a\": 1}')", [f"k{n}"])
    connection.execute("select * from pgqueue.enqueue(kind => 'later', delay => interval '1 hour')")
    (worker,) = values(connection, REGISTER)
    done, failed, dead, given, held = (job[:2] for job in connection.execute(EXCHANGE, [worker, [], [], 5]).fetchall())
    connection.execute(EXCHANGE, [worker, [done[0]], [done[1]], 0])
    connection.execute(
        """select * from pgqueue.fail(%s, %s::bigint[], %s::integer[], array['E: 1', 'E: 2'], array[null, null]::text[],
        array['1 hour', null]::interval[])""",
        [worker, [failed[0], dead[0]], [failed[1], dead[1]]],
    )
    connection.execute(
        "select * from pgqueue.release(%s, %s::bigint[], %s::integer[])", [worker, [given[0]], [given[1]]]
    )
    connection.execute("select pgqueue.heartbeat(%s, 1, false)", [worker])
    connection.execute(
        "select * from pgqueue.reconcile(%s, %s::bigint[], %s::integer[])", [worker, [held[0]], [held[1]]]
    )
    cancelled = values(connection, "select id from pgqueue.enqueue(kind => 'wrong')")
    connection.execute("select pgqueue.cancel(%s, 'by mistake')", cancelled)
    connection.execute("select * from pgqueue.rescue()")
    connection.execute("select pgqueue.maintain()")


def test_a_published_schema_comes_to_what_a_new_one_is(published, fresh, dump):
    """Else one fleet runs on another schema than the one that was tested."""
    new = fresh()
    migrations.migrate(published)
    migrations.migrate(new)

    assert dump(published) == dump(new)


def test_jobs_in_every_state_survive(published):
    """With their history."""
    what = "select id, state, args, attempt, run_at, finished_at, error from pgqueue.jobs order by id"
    with psycopg.connect(published, autocommit=True) as connection:
        use(connection)
        before = rows(connection, what)
        assert {job.state for job in before} == {"ready", "scheduled", "running", "completed", "failed", "cancelled"}

        migrations.migrate(published)

        assert rows(connection, what) == before


def test_a_worker_of_that_time_goes_on(published):
    """It has connections open and jobs at hand, and is replaced after the migration, not during it."""
    with psycopg.connect(published, autocommit=True) as connection:
        (worker,) = values(connection, REGISTER)
        connection.execute(EXCHANGE, [worker, [], [], 1], prepare=True)

        migrations.migrate(published)

        connection.execute(EXCHANGE, [worker, [], [], 1], prepare=True)
        use(connection)

        states = values(connection, "select distinct state from pgqueue.jobs order by 1")
        assert states == ["cancelled", "completed", "failed", "ready", "running", "scheduled"]


def test_a_worker_that_slept_before_the_migration_is_rung_after_it(published):
    """It set no bit, as there were none. Nothing is known at first, and whoever clears bits finds it by its lock."""
    with (
        psycopg.connect(published, autocommit=True) as sleeper,
        psycopg.connect(published, autocommit=True) as producer,
    ):
        sleeper.execute("listen pgqueue; select pgqueue.park('default')")
        producer.execute("select pgqueue.enqueue('noop')")
        assert heard(sleeper, producer) == ["default"]

        migrations.migrate(published)

        for _ in range(2):
            producer.execute("select pgqueue.enqueue('noop')")
            assert heard(sleeper, producer) == ["default"]
            forget(producer)


@pytest.mark.parametrize("published", WITHOUT_BITS, ids=lambda path: path.stem, indirect=True)
def test_a_worker_that_is_not_settled_when_the_migration_comes_settles_after_it(published):
    """It parked by the old functions and asks by the new ones, about a producer that asked by the old."""
    with (
        psycopg.connect(published, autocommit=True) as sleeper,
        psycopg.connect(published) as producer,
        psycopg.connect(published, autocommit=True) as other,
    ):
        with other.transaction():
            other.execute("select pgqueue.enqueue('noop')")
            assert not value(sleeper, "select pgqueue.park('default')")
        migrations.migrate(published)
        producer.execute("select pgqueue.enqueue('noop')")
        assert not settled(sleeper)
        producer.commit()

        assert settled(sleeper)


def test_a_producer_whose_transaction_began_before_the_migration_is_waited_for(fresh, psql):
    """It looked by the old functions. A migration that changes tables waits for it; one that does not, does not."""
    dsn = fresh()
    assert psql(dsn, "--file", str(ROOT / "tests" / "upgrade" / "published" / "0005.sql")).returncode == 0
    with psycopg.connect(dsn) as producer, psycopg.connect(dsn, autocommit=True) as sleeper:
        producer.execute("select pgqueue.enqueue('noop')")
        migrations.migrate(dsn)
        assert not park(sleeper)
        assert not settled(sleeper)

        producer.commit()

        assert settled(sleeper)


def test_who_may_call_a_function_may_call_what_takes_its_place(published):
    """Else a migration takes rights away, or gives to everybody what was kept to a few."""
    may = """select p.proname, has_function_privilege('teller', p.oid, 'execute'),
            has_function_privilege('chief', p.oid, 'execute with grant option'),
            has_function_privilege('passer_by', p.oid, 'execute')
        from pg_proc p
        where p.pronamespace = 'pgqueue'::regnamespace and p.proname in ('cancel', 'claim', 'enqueue', 'wake')
        order by 1"""
    with psycopg.connect(published) as connection:
        connection.execute("create role teller; create role chief; create role passer_by")
        named = """select oid::regprocedure::text from pg_proc
            where pronamespace = 'pgqueue'::regnamespace and proname in ('claim', 'enqueue')"""
        for function in values(connection, named):
            connection.execute(f"revoke execute on function {function} from public")
            connection.execute(f"grant execute on function {function} to teller")
            connection.execute(f"grant execute on function {function} to chief with grant option")

        migrations.migrate(connection)

        kept, everybodys = (True, True, False), (True, False, True)
        assert connection.execute(may).fetchall() == [
            ("cancel", *everybodys),
            ("claim", *kept),
            ("enqueue", *kept),
            ("enqueue", *kept),
            ("wake", *everybodys),
        ]
        connection.rollback()
