create or replace function pgqueue.end_waiting(p_ids bigint[], p_state text, p_reason text default null)
returns void
language plpgsql
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
as $$
-- end_waiting(ids, state, reason) → nothing
--
--   Ends jobs that wait, without another attempt: what the verbs that do so have in common. Whoever calls it has locked
--   them, so none is running.
--
-- p_state   cancelled or expired.
-- p_reason  why they were cancelled, null when nobody said. One that expires keeps the error of its last attempt.
-- Writes    pgqueue.job → pgqueue.job_archive.
-- Locks     as pgqueue.ring_finished.
-- Called by pgqueue.cancel, expire and follow.
begin
    with gone as (
        delete from pgqueue.job j where j.id = any (p_ids) returning j.*
    )
    insert into pgqueue.job_archive_ended (
        id, run_at, created_at, finished_at, claims, priority, attempt, max_attempts, state, queue, kind, args, timeout,
        error, expires_at, unique_key, meta
    )
    select
        g.id, g.run_at, g.created_at, clock_timestamp(), g.claims, g.priority, g.attempt, g.max_attempts, p_state,
        g.queue, g.kind, g.args, g.timeout,
        case p_state
            when 'expired' then (select a.error from pgqueue.attempt a where a.job = g.id order by a.claims desc limit 1)
            else p_reason
        end,
        g.expires_at, g.unique_key, g.meta
    from gone g;
    perform pgqueue.ring_finished(p_ids);
end;
$$;

comment on function pgqueue.end_waiting(bigint[], text, text) is 'Ends jobs that wait as cancelled or expired.';
