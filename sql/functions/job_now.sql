create or replace function pgqueue.job_now(p_job bigint, p_lock text default null)
returns text
language plpgsql
as $$
-- job_now(job, lock) → waiting, running, or null when it is done
--
--   What a job does at this moment, whatever the transaction's snapshot says. A job that was changed since an old
--   snapshot counts as running: somebody claimed it. One that waits past its expiry counts as done.
--
-- p_lock    share or update: lock the job if it waits, so that nobody claims it before the transaction ends and it will
--           see what the transaction wrote; null: only look.
-- Writes    nothing.
-- Locks     see p_lock. No worker goes to sleep while a job is hidden from it that way: see pgqueue.settled.
-- Called by pgqueue.try_key.
declare
    v_snapshot constant boolean := current_setting('transaction_isolation') not like 'read %';
    v_waits    boolean := false;
    v_state    text;
begin
    if p_lock is not null then
        if v_snapshot then
            begin
                v_waits := pgqueue.lock_waiting(p_job, p_lock);
            exception when serialization_failure then
                return case when pgqueue.lives(p_job) then 'running' end;
            end;
        else
            v_waits := pgqueue.lock_waiting(p_job, p_lock);
        end if;
        if v_waits then
            return 'waiting';
        end if;
    end if;

    v_state := (
        select
            case
                when j.worker is not null then 'running'
                when j.expires_at <= clock_timestamp() then 'expired'
                else 'waiting'
            end
        from pgqueue.job j
        where j.id = p_job
    );
    if v_snapshot then
        v_state := case when pgqueue.lives(p_job) then coalesce(v_state, 'running') end;
    end if;
    return nullif(v_state, 'expired');
end;
$$;

comment on function pgqueue.job_now(bigint, text) is 'Whether a job waits, runs or is done at this moment, also past an old snapshot.';
