create or replace function pgqueue.asleep()
returns bigint
language plpgsql
as $$
-- asleep() → the bits of the queues that have a sleeping worker, or one that is about to sleep, at this moment
--
--   What pgqueue.sleepers should say. There a bit is set by who parks, and stays when they wake or die.
--
-- Writes    nothing.
-- Locks     nothing; it reads which locks there are.
-- Called by pgqueue.duties and forget_sleepers.
begin
    return (
        select coalesce(bit_or(1::bigint << (l.objid::bigint & 63)::integer), 0)
        from pg_locks l
        where l.locktype = 'advisory' and l.classid = 1885827330 and l.objsubid = 2 and l.granted
            and l.mode = 'ShareLock'                      -- not that of a producer, for an instant
            and l.database = (select d.oid from pg_database d where d.datname = current_database())
    );
end;
$$;

comment on function pgqueue.asleep() is 'The bits, as pgqueue.sleepers has them, of the queues that have a sleeping worker at this moment.';
