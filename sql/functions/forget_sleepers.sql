create or replace function pgqueue.forget_sleepers()
returns void
language plpgsql
as $$
-- forget_sleepers() → nothing
--
--   Clears the bits of queues that have no sleeping worker any more, so that their producers need not try a lock. Nobody
--   else clears any. Those who are about to sleep park before they take the lock that is taken here, and set their bit
--   under it: so either their park is seen here, or they set the bit after.
--
-- Writes    the sequence pgqueue.sleepers.
-- Locks     advisory (sleepers) until the transaction ends: if somebody has it, this returns at once.
-- Called by pgqueue/worker/leader.py, by the leader, when pgqueue.duties says so.
declare
    v_asleep bigint;
begin
    if not pg_try_advisory_xact_lock(1885827335, 0) then
        return;
    end if;
    v_asleep := pgqueue.asleep();
    if v_asleep is distinct from pg_sequence_last_value('pgqueue.sleepers') then
        perform setval('pgqueue.sleepers', v_asleep);
    end if;
end;
$$;

comment on function pgqueue.forget_sleepers() is 'Clears the bits in pgqueue.sleepers of queues that nobody sleeps in any more.';
