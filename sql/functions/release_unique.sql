create or replace function pgqueue.release_unique(scope text, key text)
returns bigint
language plpgsql
set enable_seqscan = off
set jit = off
as $$
-- release_unique(scope, key) → id of the job that held the key; null when it was free
--
--   Lets a key go: the next job enqueued under it is a new one. The job that held it stays as it is; one that waited for
--   another to be done may start.
--
-- scope     kind of the job, or the unique_scope it was enqueued with.
-- Writes    pgqueue.unique_key: deletes one row. pgqueue.job: run_at of a job that waited for another.
-- Locks     the key's row; as pgqueue.wake.
-- Called by operators, applications; pgqueue/calls/keys.py.
declare
    v_holder constant bigint := pgqueue.find_unique(scope, key);
    v_key    pgqueue.unique_key;
begin
    delete from pgqueue.unique_key u
    where u.scope = release_unique.scope and u.key = release_unique.key
    returning u.* into v_key;
    if v_key.waits_for is not null then
        perform pgqueue.start_waiting(v_key.job, v_key.run_at);
    end if;
    return v_holder;
end;
$$;

comment on function pgqueue.release_unique(text, text) is 'Lets a key go, so that the next job enqueued under it is a new one; returns the job that held it.';
