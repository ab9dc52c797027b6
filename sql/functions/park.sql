create or replace function pgqueue.park(p_queue text)
returns boolean
language plpgsql
as $$
-- park(queue) → settled
--
--   First step of going to sleep: from now on producers ring (see pgqueue.wake). Claim once more after it. Settled
--   tells whether that claim sees every job that was enqueued without a ring; if not, a producer that looked before
--   is still in its transaction: ask pgqueue.settled until it is true, claiming in between, before sleeping.
--
--   The order matters. Parked before the bit: whoever sees the bit finds the sleeper. The bit before the number of our
--   transaction: whoever did not see it has written before, so its number is lower. That number is all that a later
--   pgqueue.settled has to know, so it stays with the session. Nothing here waits for the disk: a transaction with a number
--   and no WAL commits without.
--
-- Raises    25001 in a transaction that has written: its number would be too low.
-- Writes    the sequence pgqueue.sleepers, if the bit is not set; the setting pgqueue.parked_… of the session.
-- Locks     parked shared, until unpark or the end of the session. advisory (sleepers) until the transaction ends.
-- Called by pgqueue/worker/bell.py, pgqueue/results/waiting.py, outside any transaction, on the connection that listens.
declare
    v_bit constant bigint := 1::bigint << (hashtext(p_queue) & 63);
begin
    if pg_current_xact_id_if_assigned() is not null then
        raise exception using errcode = 'active_sql_transaction',
            message = 'pgqueue.park was called in a transaction that has written; nothing was parked',
            hint = 'Call it outside of a transaction, on the connection that listens.';
    end if;
    perform pg_advisory_lock_shared(1885827330, hashtext(p_queue));
    perform pg_advisory_xact_lock(1885827335, 0);         -- or two would read the bits, and the later write undo the first
    if pg_sequence_last_value('pgqueue.sleepers') & v_bit = 0 then
        perform setval('pgqueue.sleepers', pg_sequence_last_value('pgqueue.sleepers') | v_bit);
    end if;
    perform set_config('pgqueue.parked_' || to_hex(hashtext(p_queue)), pg_current_xact_id()::text, false);
    return pgqueue.settled(p_queue);
end;
$$;

comment on function pgqueue.park(text) is 'Announces that a worker of the queue is about to sleep, so that producers ring.';
