create or replace function pgqueue.fail(
    p_worker       bigint,
    p_ids          bigint[],
    p_claims       integer[],
    p_errors       text[],
    p_tracebacks   text[],
    p_retry_in     interval[],
    p_fingerprints text[] default null
)
returns setof bigint
language plpgsql
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
as $$
-- fail(worker, ids, claims, errors, tracebacks, retry_in, fingerprints) → ids whose claim was lost: nothing was recorded
--
--   Records attempts that did not succeed. A job with attempts left waits for its next one; any other ends as failed,
--   a dead letter. One that was asked to stop ends as cancelled, whatever attempts are left.
--
--   A job that ends as failed enqueues its on_failed hook, if the worker said at pgqueue.register that the kind has one:
--   in this transaction, so it is once and for all. The hook has one attempt, the job's queue and priority, and the
--   failure as its argument, without secrets.
--
-- p_errors  type and message, one line each. p_tracebacks: null where there is none.
-- p_retry_in pause before the next attempt; null: do not retry, whatever attempts are left.
-- p_fingerprints the same for errors of one type from one place; null: told from the type alone.
-- Writes    pgqueue.attempt: one row each. pgqueue.job: running → scheduled, or → pgqueue.job_archive as failed or
--           cancelled; one row for each hook.
-- Locks     the rows it names, in id order.
-- Called by pgqueue/worker/lanes.py; pgqueue.rescue.
declare
    v_now   constant timestamptz := clock_timestamp();
    v_known bigint[];
    v_hooks bigint[];
    v_wake  record;
begin
    -- any (array[…]): see pgqueue.finish.
    with told as materialized (
        select distinct on (t.id, t.claims) t.*               -- told twice is told once
        from unnest(p_ids, p_claims, p_errors, p_tracebacks, p_retry_in, p_fingerprints)
            t (id, claims, error, traceback, retry_in, fingerprint)
    ),
    held as materialized (
        select
            j.*, t.error, t.traceback, coalesce(t.fingerprint, left(md5(split_part(t.error, ':', 1)), 16)) as fingerprint,
            case when j.attempt < j.max_attempts and j.cancel_reason is null then t.retry_in end as retry_in,
            case when j.cancel_reason is null then 'failed' else 'cancelled' end as state
        from told t
        join pgqueue.job j on j.id = any (array[t.id]) and j.claims = t.claims and j.worker = p_worker
        order by t.id                                         -- not j.id: it could be read off job_pkey
        for update of j
    ),
    noted as (
        insert into pgqueue.attempt (job, claims, attempt, worker, started_at, finished_at, error, traceback, fingerprint)
        select h.id, h.claims, h.attempt, h.worker, h.claimed_at, v_now, h.error, h.traceback, h.fingerprint from held h
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
            h.max_attempts, h.state, h.queue, h.kind, h.args, h.timeout,
            case h.state when 'failed' then h.error else coalesce(nullif(h.cancel_reason, ''), h.error) end,
            h.expires_at, h.unique_key, h.meta
        from held h
        where h.retry_in is null
    ),
    hooked as (
        insert into pgqueue.job as j (kind, args, queue, priority, max_attempts)
        select
            w.kinds ->> h.kind,
            jsonb_build_object('failure', jsonb_build_object(
                'id', h.id, 'kind', h.kind, 'queue', h.queue, 'args', pgqueue.redact(h.args), 'error', h.error,
                'traceback', h.traceback, 'fingerprint', h.fingerprint, 'attempt', h.attempt,
                'max_attempts', h.max_attempts, 'created_at', h.created_at, 'failed_at', v_now
            )),
            h.queue, h.priority, 1
        from held h
        join pgqueue.worker w on w.id = p_worker
        where h.retry_in is null and h.state = 'failed' and w.kinds ->> h.kind is not null
        returning j.id
    )
    select coalesce(array_agg(h.id), '{}'), array(select k.id from hooked k) into v_known, v_hooks from held h;

    for v_wake in
        select j.queue, min(j.run_at) as run_at
        from unnest(v_known || v_hooks) k (id)
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

comment on function pgqueue.fail(bigint, bigint[], integer[], text[], text[], interval[], text[]) is
    'Records failed attempts: each job waits for its next attempt, or ends as failed when it has none left; then its on_failed hook is enqueued.';
