create or replace function pgqueue.abandon(p_worker bigint, p_ids bigint[], p_claims integer[], p_reasons text[])
returns setof bigint
language plpgsql
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
as $$
-- abandon(worker, ids, claims, reasons) → ids whose claim was lost, so nothing was recorded for them
--
--   Ends running jobs as cancelled: their handlers said so, or stopped because they were asked to.
--
-- p_reasons one per id, kept with the job; null: as was said by who asked for it (job.cancel_reason).
-- Writes    pgqueue.job → pgqueue.job_archive, only where worker and claim still match.
-- Locks     the rows it names, in id order.
-- Called by pgqueue/worker/lanes.py; pgqueue.release and pgqueue.snooze, for jobs that were asked to stop.
begin
    -- any (array[…]): see pgqueue.finish.
    return query
    with told as (
        select t.id, t.claims, t.reason from unnest(p_ids, p_claims, p_reasons) t (id, claims, reason) order by t.id
    ),
    gone as (
        delete from pgqueue.job j
        using told t
        where j.id = any (array[t.id]) and j.claims = t.claims and j.worker = p_worker
        returning j.*, t.reason
    ),
    kept as (
        insert into pgqueue.job_archive_ended (
            id, run_at, created_at, started_at, finished_at, worker, claims, priority, attempt, max_attempts, state,
            queue, kind, args, timeout, error, expires_at, unique_key, meta
        )
        select
            g.id, g.run_at, g.created_at, g.claimed_at, clock_timestamp(), g.worker, g.claims, g.priority, g.attempt,
            g.max_attempts, 'cancelled', g.queue, g.kind, g.args, g.timeout,
            coalesce(g.reason, nullif(g.cancel_reason, '')), g.expires_at, g.unique_key, g.meta
        from gone g
        returning job_archive_ended.id
    )
    select t.id from told t where t.id not in (select k.id from kept k);

    perform pgqueue.ring_finished(p_ids);
end;
$$;

comment on function pgqueue.abandon(bigint, bigint[], integer[], text[]) is
    'Ends running jobs as cancelled, because their handlers said so or were asked to stop.';
