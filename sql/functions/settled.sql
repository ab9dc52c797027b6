create or replace function pgqueue.settled(p_queue text)
returns boolean
language plpgsql
as $$
-- settled(queue) → whether no producer that could have missed the parked worker is still in its transaction
--
-- Writes    nothing.
-- Locks     gate exclusively, until the statement's own transaction ends: an instant, when called outside a transaction.
-- Called by pgqueue.park; pgqueue/worker/bell.py, while it is not true.
begin
    return pg_try_advisory_xact_lock(1885827329, hashtext(p_queue));
end;
$$;

comment on function pgqueue.settled(text) is 'Whether every producer that may not have seen the parked worker has ended its transaction.';
