create or replace function pgqueue.finish(
    p_worker bigint, p_ids bigint[], p_claims integer[], p_results jsonb[] default null,
    p_result_ttls interval[] default null
)
returns setof bigint
language plpgsql
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set plan_cache_mode = force_generic_plan
set jit = off
as $$
-- finish(worker, ids, claims, results, result_ttls) → ids whose claim was lost, so nothing was recorded for them
--
--   Records jobs as completed: they leave the live table for the archive, in one statement.
--
--   id = any (array[…]), not id = …: an equality lets the planner walk the whole of job_pkey and look for each job among
--   those told, and small or stale statistics make it choose that: minutes instead of milliseconds. Here it cannot.
--
-- p_results one per id, or null when no handler returned anything.
-- p_result_ttls for how long each is shown; null, or a null element: as long as the job is kept.
-- Writes    pgqueue.job → pgqueue.job_archive, only where worker and claim still match.
-- Locks     the rows it names, in id order: a rescue of the same jobs waits, and never for each other.
-- Called by pgqueue.exchange; pgqueue.finish_within.
begin
    return query
    with told as (
        select t.id, t.claims, t.result, t.ttl
        from unnest(p_ids, p_claims, p_results, p_result_ttls) t (id, claims, result, ttl)
        order by t.id
    ),
    gone as (
        delete from pgqueue.job j
        using told t
        where j.id = any (array[t.id]) and j.claims = t.claims and j.worker = p_worker
        returning j.*, t.result, t.ttl
    ),
    kept as (
        insert into pgqueue.job_archive_completed (
            id, run_at, created_at, started_at, finished_at, worker, claims, priority, attempt, max_attempts, state,
            queue, kind, args, timeout, result, expires_at, unique_key, meta,
            result_until
        )
        select
            g.id, g.run_at, g.created_at, g.claimed_at, clock_timestamp(), g.worker, g.claims, g.priority, g.attempt,
            g.max_attempts, 'completed', g.queue, g.kind, g.args, g.timeout, g.result,
            g.expires_at, g.unique_key, g.meta, clock_timestamp() + g.ttl
        from gone g
        returning job_archive_completed.id
    )
    select t.id from told t where t.id not in (select k.id from kept k);
    perform pgqueue.ring_finished(p_ids);
end;
$$;

comment on function pgqueue.finish(bigint, bigint[], integer[], jsonb[], interval[]) is
    'Records jobs as completed, if the worker still holds them under that claim; returns the ids it had lost.';
