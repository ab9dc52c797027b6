create or replace function pgqueue.finish(
    p_worker bigint, p_ids bigint[], p_claims integer[], p_results jsonb[] default null,
    p_result_ttls interval[] default null
)
returns setof bigint
language plpgsql
set enable_seqscan = off
set enable_bitmapscan = off
set enable_nestloop = off
set enable_hashjoin = off
set plan_cache_mode = force_generic_plan
set jit = off
as $$
-- finish(worker, ids, claims, results, result_ttls) → ids whose claim was lost, so nothing was recorded for them
--
--   Records jobs as completed: they leave the live table for the archive, in one statement.
--
--   One scan of the index for all ids, and a merge with what was told of them. An equality alone would let the planner
--   walk the whole of job_pkey, and small or stale statistics make it choose that: minutes instead of milliseconds. A
--   merge, as its order is that of the ids whichever side comes first: two who lock the same jobs never wait for each other.
--   What was lost is seldom, so it is looked for only if fewer were recorded than told.
--
-- p_results one per id, or null when no handler returned anything.
-- p_result_ttls for how long each is shown; null, or a null element: as long as the job is kept.
-- Writes    pgqueue.job → pgqueue.job_archive, only where worker and claim still match.
-- Locks     the rows it names, in id order: a rescue of the same jobs waits, and never for each other.
-- Called by pgqueue.exchange; pgqueue.finish_within.
declare
    v_now      constant timestamptz := clock_timestamp();
    v_recorded bigint;
begin
    with gone as (
        delete from pgqueue.job j
        using unnest(p_ids, p_claims, p_results, p_result_ttls) t (id, claims, result, ttl)
        where j.id = any (p_ids) and j.id = t.id and j.claims = t.claims and j.worker = p_worker
        returning j.*, t.result, t.ttl
    )
    insert into pgqueue.job_archive_completed (
        id, run_at, created_at, started_at, finished_at, worker, claims, priority, attempt, max_attempts, state,
        queue, kind, args, timeout, result, expires_at, unique_key, meta,
        result_until
    )
    select
        g.id, g.run_at, g.created_at, g.claimed_at, v_now, g.worker, g.claims, g.priority, g.attempt,
        g.max_attempts, 'completed', g.queue, g.kind, g.args, g.timeout, g.result,
        g.expires_at, g.unique_key, g.meta, v_now + g.ttl
    from gone g;
    get diagnostics v_recorded = row_count;

    if v_recorded < cardinality(p_ids) then
        return query
        select t.id
        from unnest(p_ids) t (id)
        where t.id not in (                               -- no join, which would read the whole index of the archive
            select a.id
            from pgqueue.job_archive_completed a
            where a.id = any (p_ids) and a.finished_at = v_now and a.worker = p_worker
        );
    end if;
    perform pgqueue.ring_finished(p_ids);
end;
$$;

comment on function pgqueue.finish(bigint, bigint[], integer[], jsonb[], interval[]) is
    'Records jobs as completed, if the worker still holds them under that claim; returns the ids it had lost.';
