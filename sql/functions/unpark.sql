create or replace function pgqueue.unpark(p_queue text)
returns void
language plpgsql
as $$
-- unpark(queue) → nothing
--
--   Awake again: producers of the queue need not ring. The bit stays until pgqueue.forget_sleepers, as others may need it.
--
-- Writes    nothing.
-- Locks     lets go of parked.
-- Called by pgqueue/worker/bell.py, on the connection that parked.
begin
    perform pg_advisory_unlock_shared(1885827330, hashtext(p_queue));
end;
$$;

comment on function pgqueue.unpark(text) is 'The worker that parked is awake again: producers need not ring.';
