create or replace function pgqueue.start_waiting(p_job bigint, p_run_at timestamptz)
returns void
language plpgsql
set enable_seqscan = off
as $$
-- start_waiting(job, run at) → nothing
--
--   Lets a job start that waited for another of its key to be done.
--
-- p_run_at  the moment it was enqueued for; a past one means now.
-- Writes    pgqueue.job: run_at.
-- Locks     the job's row, as pgqueue.wake.
-- Called by pgqueue.follow, pgqueue.release_unique.
declare
    v_queue text;
    v_run_at constant timestamptz := greatest(p_run_at, clock_timestamp());
begin
    update pgqueue.job j set run_at = v_run_at
    where j.id = p_job and j.worker is null and j.run_at = '9999-12-30 00:00+00'
    returning j.queue into v_queue;
    if found then
        perform pgqueue.wake(v_queue, v_run_at);
    end if;
end;
$$;

comment on function pgqueue.start_waiting(bigint, timestamptz) is 'Lets a job start that waited for another of its key.';
