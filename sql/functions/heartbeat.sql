create or replace function pgqueue.heartbeat(p_worker bigint, p_running integer, p_stopping boolean default false)
returns void
language plpgsql
as $$
-- heartbeat(worker, running, stopping) → nothing
--
-- p_running jobs it is running now. p_stopping: it was told to stop and takes no more.
-- Raises    PQ005 when the worker was declared dead: its jobs were given to others.
-- Writes    pgqueue.worker: one row, a HOT update.
-- Called by pgqueue/worker/steward.py, every second, in the statement that asks for its duties; from a thread of its
--           own: a handler that blocks the event loop must not look dead.
begin
    perform set_config('synchronous_commit', 'off', true);      -- a lost beat is followed by another
    update pgqueue.worker w
    set heartbeat_at = clock_timestamp(), running = p_running, stopping = p_stopping
    where w.id = p_worker and w.died_at is null and w.stopped_at is null;
    if not found then                                           -- also when a rescue was faster by an instant
        perform pgqueue.check_worker(p_worker);
    end if;
end;
$$;

comment on function pgqueue.heartbeat(bigint, integer, boolean) is 'A worker''s sign of life; refused once it was declared dead.';
