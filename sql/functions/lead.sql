create or replace function pgqueue.lead()
returns boolean
language plpgsql
as $$
-- lead() → whether this session is the leader
--
--   One worker of the fleet does what needs doing once: rescue and retention. The lock belongs to a session, so it is
--   free again the moment its holder dies; being leader is asked at each tick, never remembered.
--
-- Writes    nothing.
-- Locks     advisory (leader), until the session ends.
-- Called by pgqueue/worker/leader.py, on the steward's connection.
begin
    return exists (
        select from pg_locks l
        where l.locktype = 'advisory' and l.pid = pg_backend_pid() and l.classid = 1885827332 and l.objid = 0
            and l.objsubid = 2 and l.granted and l.database = (select d.oid from pg_database d where d.datname = current_database())
    ) or pg_try_advisory_lock(1885827332, 0);
end;
$$;

comment on function pgqueue.lead() is 'Whether this session leads the fleet of workers; takes the lead if nobody has it.';
