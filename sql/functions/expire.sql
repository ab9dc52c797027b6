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
    v_now constant timestamptz := clock_timestamp();
    v_ids bigint[];
begin
    v_ids := array(
        select j.id
        from pgqueue.job j
        where j.expires_at <= v_now and j.worker is null
        order by j.expires_at
        limit p_limit
        for update skip locked
    );
    if cardinality(v_ids) > 0 then
        perform pgqueue.end_waiting(v_ids, 'expired');
    end if;
    return cardinality(v_ids);
end;
$$;

comment on function pgqueue.expire(integer) is 'Ends waiting jobs whose time is up as expired.';
