create or replace function pgqueue.expire(p_limit integer default 10000)
returns integer
language plpgsql
set enable_seqscan = off
set enable_bitmapscan = off
set enable_sort = off
set jit = off
as $$
-- expire(limit) → how many jobs ended as expired
--
--   Ends waiting jobs whose expires_at has come. No claim takes them from that moment on, so nothing depends on when this
--   is called. Jobs that wait for another attempt expire as well, with the error of their last one.
--
-- Writes    pgqueue.job → pgqueue.job_archive as expired. Never a running job.
-- Locks     the rows it moves; skips locked ones. As pgqueue.ring_finished.
-- Called by pgqueue/worker/leader.py, by the leader, when pgqueue.duties says so.
declare
    v_now   constant timestamptz := clock_timestamp();
    v_ids   bigint[];
begin
    with gone as (
        delete from pgqueue.job j
        where j.ctid = any (array(
            select d.ctid
            from pgqueue.job d
            where d.expires_at <= v_now and d.worker is null
            order by d.expires_at
            limit p_limit
            for update skip locked
        ))
        returning j.*
    ),
    kept as (
        insert into pgqueue.job_archive_ended (
            id, run_at, created_at, finished_at, claims, priority, attempt, max_attempts, state, queue, kind, args, timeout,
            error, expires_at, unique_key, meta
        )
        select
            g.id, g.run_at, g.created_at, v_now, g.claims, g.priority, g.attempt, g.max_attempts, 'expired', g.queue, g.kind,
            g.args, g.timeout, (select a.error from pgqueue.attempt a where a.job = g.id order by a.claims desc limit 1),
            g.expires_at, g.unique_key, g.meta
        from gone g
        returning job_archive_ended.id
    )
    select coalesce(array_agg(k.id), '{}') into v_ids from kept k;

    if cardinality(v_ids) > 0 then
        perform pgqueue.ring_finished(v_ids);
    end if;
    return cardinality(v_ids);
end;
$$;

comment on function pgqueue.expire(integer) is 'Ends waiting jobs whose time is up as expired.';
