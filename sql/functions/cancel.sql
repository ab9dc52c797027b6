create or replace function pgqueue.cancel(id bigint, reason text default null)
returns void
language plpgsql
as $$
-- cancel(id, reason) → nothing
--
--   Ends a waiting job as cancelled: it will not run.
--
-- Raises    PQ003 when there is no such job; PQ004 when it is running or finished.
-- Writes    pgqueue.job → pgqueue.job_archive.
-- Locks     the job's row; waits for a claim under way. gate of its queue shared, until the transaction ends.
-- Called by operators; pgqueue/calls.py.
begin
    -- Until it is certain that the job is gone no worker may go to sleep: it skips the locked row, and should this be
    -- rolled back, nobody would ring for it.
    perform pg_advisory_xact_lock_shared(1885827329, hashtext(j.queue)) from pgqueue.job j where j.id = cancel.id;

    with gone as (
        delete from pgqueue.job j where j.id = cancel.id and j.worker is null returning j.*
    )
    insert into pgqueue.job_archive_ended (
        id, run_at, created_at, finished_at, claims, priority, attempt, max_attempts, state, queue, kind, args, timeout,
        error, expires_at, unique_key, meta
    )
    select
        g.id, g.run_at, g.created_at, clock_timestamp(), g.claims, g.priority, g.attempt, g.max_attempts, 'cancelled',
        g.queue, g.kind, g.args, g.timeout, cancel.reason,
        g.expires_at, g.unique_key, g.meta
    from gone g;

    if not found then
        perform pgqueue.refuse_state(cancel.id, 'only waiting jobs can be cancelled');
    end if;
    perform pgqueue.ring_finished(array[cancel.id]);
end;
$$;

comment on function pgqueue.cancel(bigint, text) is 'Ends a waiting job as cancelled; refuses one that is running or finished.';
