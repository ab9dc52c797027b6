create or replace function pgqueue.lives(p_job bigint)
returns boolean
language plpgsql
as $$
-- lives(job) → whether the job waits or runs at this moment, whatever the transaction's snapshot says
--
--   Asks the primary key, which knows no snapshots: a job of that number can be inserted only if there is none. The
--   attempt is always undone.
--
-- Writes    nothing that stays.
-- Locks     waits for a transaction that is finishing the job.
-- Called by pgqueue.job_now, in REPEATABLE READ and SERIALIZABLE only: it costs a subtransaction.
begin
    insert into pgqueue.job (id, kind) overriding system value values (p_job, 'nobody') on conflict (id) do nothing;
    if found then
        raise exception using errcode = 'no_data_found';
    end if;
    return true;                                          -- there, and the snapshot sees it as it is
exception
    when no_data_found then
        return false;
    when serialization_failure then                       -- there, and not as the snapshot sees it
        return true;
end;
$$;

comment on function pgqueue.lives(bigint) is 'Whether a job waits or runs at this moment, also past an old snapshot.';
