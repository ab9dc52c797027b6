create or replace function pgqueue.attach(p_worker bigint)
returns boolean
language plpgsql
as $$
-- attach(worker) → whether this session holds the worker's liveness lock now
--
--   For a steward whose session was lost. False while the server still thinks the old session alive: ask again at the
--   next beat; until then the beats alone keep the worker alive.
--
-- Raises    PQ005 when the worker was declared dead.
-- Writes    nothing.
-- Locks     advisory (alive, worker), until the session ends.
-- Called by pgqueue/worker/steward.py, after a reconnect.
begin
    perform pgqueue.check_worker(p_worker);
    return pg_try_advisory_lock(1885827331, p_worker::integer);
end;
$$;

comment on function pgqueue.attach(bigint) is 'Takes a worker''s liveness lock again, after its session was lost.';
