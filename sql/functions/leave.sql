create or replace function pgqueue.leave(p_worker bigint)
returns void
language plpgsql
as $$
-- leave(worker) → nothing
--
--   A worker that ends in order. Whatever it still holds on record goes back, the attempt not counted.
--
-- Writes    pgqueue.worker: one row; pgqueue.job: running → ready.
-- Locks     lets go of advisory (alive, worker), if this session holds it.
-- Called by pgqueue/worker/steward.py, last.
begin
    perform pgqueue.reconcile(p_worker, '{}', '{}');
    update pgqueue.worker w set stopped_at = clock_timestamp(), running = 0 where w.id = p_worker and w.died_at is null;
    if exists (
        select from pg_locks l
        where l.locktype = 'advisory' and l.pid = pg_backend_pid() and l.classid = 1885827331
            and l.objid = p_worker::integer::oid and l.objsubid = 2
    ) then
        perform pg_advisory_unlock(1885827331, p_worker::integer);
    end if;
end;
$$;

comment on function pgqueue.leave(bigint) is 'Ends a worker in order and gives back what it still held.';
