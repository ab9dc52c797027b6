create or replace function pgqueue.fail(
    p_worker     bigint,
    p_ids        bigint[],
    p_claims     integer[],
    p_errors     text[],
    p_tracebacks text[],
    p_retry_in   interval[]
)
returns setof bigint
language plpgsql
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
as $$
-- fail(worker, ids, claims, errors, tracebacks, retry_in) → ids whose claim was lost, so nothing was recorded for them
--
--   Records attempts that did not succeed. A job with attempts left waits for its next one; any other ends as failed,
--   a dead letter.
--
-- p_errors  type and message, one line each. p_tracebacks: null where there is none.
-- p_retry_in pause before the next attempt; null: do not retry, whatever attempts are left.
-- Writes    pgqueue.attempt: one row each. pgqueue.job: running → scheduled, or → pgqueue.job_archive as failed.
-- Locks     the rows it names, in id order.
-- Called by pgqueue/worker/lanes.py; pgqueue.rescue.
declare
    v_now   constant timestamptz := clock_timestamp();
    v_known bigint[];
    v_wake  record;
begin
    -- any (array[…]): see pgqueue.finish.
    with told as materialized (
        select t.* from unnest(p_ids, p_claims, p_errors, p_tracebacks, p_retry_in) t (id, claims, error, traceback, retry_in)
    ),
    held as materialized (
        select j.*, t.error, t.traceback, case when j.attempt < j.max_attempts then t.retry_in end as retry_in
        from told t
        join pgqueue.job j on j.id = any (array[t.id]) and j.claims = t.claims and j.worker = p_worker
        order by t.id                                         -- not j.id: it could be read off job_pkey
        for update of j
    ),
    noted as (
        insert into pgqueue.attempt (job, claims, attempt, worker, started_at, finished_at, error, traceback)
        select h.id, h.claims, h.attempt, h.worker, h.claimed_at, v_now, h.error, h.traceback from held h
    ),
    waiting as (
        update pgqueue.job j
        set worker = null, claimed_at = null, run_at = v_now + h.retry_in
        from held h
        where j.id = any (array[h.id]) and h.retry_in is not null
    ),
    gone as (
        delete from pgqueue.job j using held h where j.id = any (array[h.id]) and h.retry_in is null
    ),
    kept as (
        insert into pgqueue.job_archive_ended (
            id, run_at, created_at, started_at, finished_at, worker, claims, priority, attempt, max_attempts, state,
            queue, kind, args, timeout, error, expires_at, unique_key, meta
        )
        select
            h.id, h.run_at, h.created_at, h.claimed_at, v_now, h.worker, h.claims, h.priority, h.attempt,
            h.max_attempts, 'failed', h.queue, h.kind, h.args, h.timeout, h.error,
            h.expires_at, h.unique_key, h.meta
        from held h
        where h.retry_in is null
    )
    select coalesce(array_agg(h.id), '{}') into v_known from held h;

    for v_wake in
        select j.queue, min(j.run_at) as run_at
        from unnest(v_known) k (id)
        join pgqueue.job j on j.id = any (array[k.id])
        where j.worker is null
        group by j.queue
    loop
        perform pgqueue.wake(v_wake.queue, v_wake.run_at);
    end loop;

    perform pgqueue.ring_finished(p_ids);
    return query select t.id from unnest(p_ids) t (id) where t.id <> all (v_known);
end;
$$;

comment on function pgqueue.fail(bigint, bigint[], integer[], text[], text[], interval[]) is
    'Records failed attempts: each job waits for its next attempt, or ends as failed when it has none left.';
