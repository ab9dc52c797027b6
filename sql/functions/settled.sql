create or replace function pgqueue.settled(p_queue text)
returns boolean
language plpgsql
as $$
-- settled(queue) → whether no producer that could have missed the parked worker is still in its transaction
--
--   Such a producer had written or locked a row of pgqueue.job before the worker was to be seen. So its transaction has a
--   lower number than the one in which the worker parked, and a lock on that table, until it ends. Transactions that only
--   read jobs, or write only other tables, keep nobody awake, however long they last. Those that write jobs of other
--   queues do.
--
--   In a session that has not parked: whether nobody at all who is in a transaction has written jobs.
--
-- Writes    nothing.
-- Called by pgqueue.park; pgqueue/worker/bell.py and pgqueue/results/waiting.py, while it is not true.
declare
    v_parked constant xid8 := coalesce(
        nullif(current_setting('pgqueue.parked_' || to_hex(hashtext(p_queue)), true), '')::xid8, pg_current_xact_id()
    );
begin
    if pg_snapshot_xmin(pg_current_snapshot()) >= v_parked then
        return true;                                      -- all that are older have ended: no need to look at locks
    end if;
    return not exists (
        with held as materialized (                       -- all locks are listed each time that the view is read
            select l.virtualtransaction as transaction, l.locktype
            from pg_locks l
            where l.granted and (
                -- Numbers there have 32 bits: only their ages can be compared.
                (l.locktype = 'transactionid' and l.mode = 'ExclusiveLock' and age(l.transactionid) > age(v_parked::xid))
                or (
                    l.locktype = 'relation' and l.relation = 'pgqueue.job'::regclass
                    and l.mode in ('RowShareLock', 'RowExclusiveLock')
                    and l.database = (select d.oid from pg_database d where d.datname = current_database())
                )
            )
        )
        select from held t join held j using (transaction)
        where t.locktype = 'transactionid' and j.locktype = 'relation'
    );
end;
$$;

comment on function pgqueue.settled(text) is 'Whether every producer that may not have seen the parked worker has ended its transaction.';
