create or replace function pgqueue.cancel(id bigint, reason text default null)
returns text
language plpgsql
as $$
-- cancel(id, reason) → 'cancelled' when it was waiting and will not run; 'asked' when it runs and its worker was told
--
--   Ends a waiting job as cancelled. A running one is asked to stop: its worker hears of it when this transaction
--   commits, stops the handler and reports; then it ends as cancelled with this reason and is not tried again. Until it
--   has, nothing is certain: a handler that returns first, or that takes no notice, has completed its job. If the worker
--   dies or gives the job back, it ends as cancelled too.
--
-- Raises    PQ003 when there is no such job; PQ004 when it is finished.
-- Writes    pgqueue.job → pgqueue.job_archive; or pgqueue.job.cancel_reason (empty without a reason), a HOT update, and
--           a notification on channel pgqueue: 'cancel:worker:id:claims:reason'. No queue has a ':' in its name.
-- Locks     the job's row until the transaction ends: waits for a claim under way, and a worker waits with its report.
-- Called by operators; pgqueue/calls/jobs.py.
declare
    v_job record;
begin
    -- Should this be rolled back, nobody rings for the job, which workers skip meanwhile: but none of them goes to sleep
    -- while a job that could start now is to be seen, or while we, who have locked its row, are in our transaction.
    select j.worker, j.claims into v_job from pgqueue.job j where j.id = cancel.id for update;
    if not found then
        perform pgqueue.refuse_state(cancel.id, 'only waiting and running jobs can be cancelled');
    end if;

    if v_job.worker is not null then
        update pgqueue.job j
        set cancel_reason = coalesce(nullif(j.cancel_reason, ''), cancel.reason, '')        -- the first reason stands
        where j.id = cancel.id;
        perform pg_notify(
            'pgqueue', format('cancel:%s:%s:%s:%s', v_job.worker, cancel.id, v_job.claims, left(cancel.reason, 500))
        );
        return 'asked';
    end if;

    perform pgqueue.end_waiting(array[cancel.id], 'cancelled', cancel.reason);
    return 'cancelled';
end;
$$;

comment on function pgqueue.cancel(bigint, text) is
    'Ends a waiting job as cancelled and asks the worker of a running one to stop it; refuses one that is finished.';
