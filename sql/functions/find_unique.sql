create or replace function pgqueue.find_unique(scope text, key text)
returns bigint
language plpgsql
set enable_seqscan = off
set jit = off
as $$
-- find_unique(scope, key) → id of the job that holds the key; null when it is free
--
-- scope     kind of the job, or the unique_scope it was enqueued with.
-- Writes    nothing.
-- Called by operators, applications; pgqueue.release_unique; pgqueue/calls/keys.py.
declare
    v_key   pgqueue.unique_key;
    v_state text;
    v_id    bigint;
begin
    select u.* into v_key from pgqueue.unique_key u where u.scope = find_unique.scope and u.key = find_unique.key;
    select j.id, case when j.worker is null then 'waiting' else 'running' end into v_id, v_state
    from pgqueue.job j
    where j.id in (v_key.job, v_key.waits_for)
        and (j.worker is not null or j.expires_at is null or j.expires_at > clock_timestamp())
    order by j.id = v_key.job desc                        -- the one that waits for the other
    limit 1;
    return case
        when v_key.free_at > clock_timestamp() then coalesce(v_id, v_key.job)
        when v_key.until = 'finished' then v_id
        when v_key.until = 'started' and v_state = 'waiting' then v_id
    end;
end;
$$;

comment on function pgqueue.find_unique(text, text) is 'Which job holds a key; null when it is free.';
