create or replace function pgqueue.outcomes(p_ids bigint[])
returns table (id bigint, state text, result jsonb, error text, gone boolean)
language plpgsql
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set plan_cache_mode = force_generic_plan
set jit = off
as $$
-- outcomes(ids) → what became of those of the jobs that wait and run no more
--
--   One statement, so one snapshot: a job that is just moving from the live table to the archive is seen in one of them.
--
-- Returns   no row for a job that waits or runs. State null: there is no such job, or its transaction has not committed.
--           Gone: its handler returned something, and the time for which that is kept is over.
-- Writes    nothing.
-- Called by pgqueue/results/waiting.py.
begin
    return query
    select t.id, a.state, case when not a.gone then a.result end, a.error, coalesce(a.gone, false)
    from unnest(p_ids) t (id)
    left join lateral (
        select k.state, k.result, k.error, coalesce(k.result_until < statement_timestamp(), false) as gone
        from pgqueue.job_archive k
        where k.id = any (array[t.id])
        limit 1
    ) a on true
    where not exists (select from pgqueue.job j where j.id = any (array[t.id]));
end;
$$;

comment on function pgqueue.outcomes(bigint[]) is 'State, result and error of those of the jobs that have ended; state null for a job that does not exist.';
