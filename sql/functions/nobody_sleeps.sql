create or replace function pgqueue.nobody_sleeps(queue text)
returns boolean
language sql
volatile
as $$
-- nobody_sleeps(queue) → whether all its workers will see what this transaction wrote without being rung
--
--   The producer's part of the protocol that pgqueue.wake explains. Ask after the job's row was written or locked, never
--   before: by that a worker which this does not see yet knows that it has to wait for this transaction. In SQL and of a
--   single expression, so that it becomes part of the caller's statement and costs no call.
--
--   The bit is clear: nobody. It is set, or the sequence was not called yet (null): perhaps, so try parked. That is taken
--   and let go within one expression: between two statements a cancel could strike, and the lock, which belongs to the
--   session, would stay; every worker of the queue would then wait for it before it sleeps.
--
-- Returns   false: somebody sleeps or is about to, so ring.
-- Writes    nothing.
-- Locks     parked for an instant, if the bit is set. Never waits.
-- Called by enqueue, enqueue_plain, ring_finished and wake.
select
    (pg_sequence_last_value('pgqueue.sleepers') & (1::bigint << (hashtext(queue) & 63)) = 0) is true
        or (pg_try_advisory_lock(1885827330, hashtext(queue)) and pg_advisory_unlock(1885827330, hashtext(queue)))
$$;

comment on function pgqueue.nobody_sleeps(text) is 'Whether no worker of a queue sleeps or is about to.';
