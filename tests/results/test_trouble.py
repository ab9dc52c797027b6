"""Waiting through trouble: a lost connection, a server that comes late, a pooler in the way."""

import asyncio
import logging

import pytest

from pgqueue import AsyncResults, errors, migrations
from tests.results.waiters import NEVER, connections, until_asleep, waiting
from tests.sql.verbs import A, claimed, finish, value
from tests.worker.pooler import MISSING, pooler
from tests.worker.server import own_server
from tests.worker.working import PATIENCE_SECONDS, until

pytestmark = pytest.mark.integration


async def patiently(task):
    async with asyncio.timeout(PATIENCE_SECONDS):
        return await task


async def test_a_lost_connection_is_opened_again_and_nobody_is_forgotten(dsn, db, caplog):
    """What ended meanwhile rang for nobody: they look again."""
    async with AsyncResults(dsn, poll=NEVER) as results:
        meanwhile, later = claimed(db), claimed(db)
        tasks = [waiting(results, meanwhile.id), waiting(results, later.id)]
        await until_asleep(db)
        (before,) = connections(db)
        with caplog.at_level(logging.INFO):
            db.execute("select pg_terminate_backend(%s, 10000)", [before])
            finish(db, A, [meanwhile], ["meanwhile"])
            assert await patiently(tasks[0]) == "meanwhile"
        await until_asleep(db)
        finish(db, A, [later], ["later"])
        assert await patiently(tasks[1]) == "later"
        assert connections(db) != [before]

    told = [record.getMessage() for record in caplog.records if record.name == "pgqueue.results"]
    assert told == ["database not reachable, waiting for it", "database reachable again"]


async def test_a_server_that_is_not_there_yet_is_waited_for():
    """An application starts before its database, or the database is restarted."""
    with own_server() as server:
        async with AsyncResults(server.dsn, poll=NEVER) as results:
            with pytest.raises(errors.ResultTimeout):
                await results.of(1).result(timeout=0.1)
            task = waiting(results, 1)
            server.start()
            with pytest.raises(errors.SchemaMissing):
                await patiently(task)
        migrations.migrate(server.dsn)
        async with AsyncResults(server.dsn, poll=NEVER) as results:
            with pytest.raises(errors.JobNotFound):
                await patiently(waiting(results, 1))


async def test_while_the_server_is_away_it_is_not_stormed():
    """Tries come less and less often, at most every five seconds."""
    tries = []

    async def count(reader, writer):
        tries.append(1)
        writer.close()

    server = await asyncio.start_server(count, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with (
        server,
        AsyncResults(f"postgresql://127.0.0.1:{port}/none?sslmode=disable&gssencmode=disable") as results,
    ):
        with pytest.raises(errors.ResultTimeout):
            await results.of(1).result(timeout=1)

    assert 1 <= len(tries) <= 6


@pytest.mark.skipif(MISSING, reason="this test runs through a real PgBouncer; install pgbouncer")
async def test_through_a_pooler_it_looks_less_and_less_often_and_says_so_once(dsn, db, caplog):
    """Nobody can ring through one: late is better than never, and polling fast would be a burden."""
    with pooler(dsn) as pooled:
        async with AsyncResults(pooled) as results:
            for _ in range(2):
                taken = claimed(db)
                task = waiting(results, taken.id)
                await until(lambda: value(db, "select count(*) from pg_stat_activity where query like '%%outcomes(%%'"))
                finish(db, A, [taken], ["polled"])
                assert await patiently(task) == "polled"

    assert [record.getMessage() for record in caplog.records] == [
        "a connection pooler is in the way: nobody can ring, so results are polled; give a direct DSN"
    ]


@pytest.mark.skipif(MISSING, reason="this test runs through a real PgBouncer; install pgbouncer")
async def test_looks_through_a_pooler_are_counted(dsn, db):
    """A fourth of the time that was waited lies between two: ten looks in the first half second, not hundreds."""
    with pooler(dsn) as pooled:
        db.execute("create table look (at timestamptz default clock_timestamp())")
        db.execute("alter function pgqueue.outcomes(bigint[]) rename to asked")
        db.execute(
            """create function pgqueue.outcomes(p_ids bigint[])
               returns table (id bigint, state text, result jsonb, error text, gone boolean) language plpgsql as $$
               begin insert into look default values; return query select * from pgqueue.asked(p_ids); end $$"""
        )
        async with AsyncResults(pooled) as results:
            with pytest.raises(errors.ResultTimeout):
                await results.of(claimed(db).id).result(timeout=2)

    assert 3 <= value(db, "select count(*) from look") <= 30
