create or replace function pgqueue.nobody_sleeps(queue text)
returns boolean
language sql
volatile
as $$
-- nobody_sleeps(queue) → whether all its workers will see what this transaction adds without being rung
--
--   The producer's part of the protocol that pgqueue.wake explains. In SQL and of a single expression, so that it becomes
--   part of the caller's statement and costs no call.
--
--   Parked is taken and let go within one expression: between two statements a cancel could strike, and the lock, which
--   belongs to the session, would stay; every worker of the queue would then wait for it before it sleeps.
--
-- Returns   false: somebody sleeps or is about to, so ring.
-- Writes    nothing.
-- Locks     gate shared until the transaction ends; parked for an instant. Never waits.
-- Called by enqueue, enqueue_plain, ring_finished and wake.
select
    pg_try_advisory_xact_lock_shared(1885827329, hashtext(queue))
        and pg_try_advisory_lock(1885827330, hashtext(queue)) and pg_advisory_unlock(1885827330, hashtext(queue))
$$;

comment on function pgqueue.nobody_sleeps(text) is 'Whether no worker of a queue sleeps or is about to.';
