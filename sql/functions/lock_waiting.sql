create or replace function pgqueue.lock_waiting(p_job bigint, p_lock text)
returns boolean
language plpgsql
as $$
-- lock_waiting(job, lock) → whether the job waits; then it is locked
--
--   A claim skips a locked job, so it starts after the transaction has ended and sees what that wrote.
--
-- p_lock    share: others may share it. update: to change the job.
-- Raises    40001 in a transaction with a snapshot of its own, when the job changed since.
-- Writes    nothing.
-- Locks     the job's row if it waits; waits for a claim under way.
-- Called by pgqueue.job_now.
declare
    v_now constant timestamptz := clock_timestamp();
begin
    if p_lock = 'share' then
        perform from pgqueue.job j
        where j.id = p_job and j.worker is null and (j.expires_at is null or j.expires_at > v_now)
        for share;
    else
        perform from pgqueue.job j
        where j.id = p_job and j.worker is null and (j.expires_at is null or j.expires_at > v_now)
        for no key update;
    end if;
    return found;
end;
$$;

comment on function pgqueue.lock_waiting(bigint, text) is 'Locks a job if it waits, so that nobody claims it before the transaction ends.';
