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
-- Writes    nothing.
-- Locks     parked shared, until unpark or the end of the session; gate exclusively for an instant.
-- Called by pgqueue/worker/bell.py, outside any transaction, on the connection that listens.
begin
    perform pg_advisory_lock_shared(1885827330, hashtext(p_queue));
    return pgqueue.settled(p_queue);
end;
$$;

comment on function pgqueue.park(text) is 'Announces that a worker of the queue is about to sleep, so that producers ring.';
