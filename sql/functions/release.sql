create or replace function pgqueue.release(p_worker bigint, p_ids bigint[], p_claims integer[])
returns setof bigint
language plpgsql
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
as $$
-- release(worker, ids, claims) → ids that went back to the queue, or ended because they were asked to
--
--   Gives jobs back unstarted: the attempt is not counted and run_at stays, so they are next in line for any worker.
--   One that was asked to stop ends as cancelled instead.
--
-- Returns   the ids that were still held under that claim; the rest had moved on.
-- Writes    pgqueue.job: running → ready; or → pgqueue.job_archive as cancelled.
-- Locks     the rows it names, in id order.
-- Called by pgqueue/worker/lanes.py, at shutdown; pgqueue.reconcile and pgqueue.rescue.
declare
    v_released bigint[];
    v_queues   text[];
    v_asked    bigint[];
    v_claims   integer[];
begin
    -- any (array[…]): see pgqueue.finish.
    with held as materialized (
        select j.id, j.claims, j.queue, j.cancel_reason is not null as asked
        from unnest(p_ids, p_claims) t (id, claims)
        join pgqueue.job j on j.id = any (array[t.id]) and j.claims = t.claims and j.worker = p_worker
        order by t.id                                         -- not j.id: it could be read off job_pkey
        for update of j
    ),
    given as (
        update pgqueue.job j
        set worker = null, claimed_at = null, attempt = j.attempt - 1
        from held h
        where j.id = any (array[h.id]) and not h.asked
    )
    select
        coalesce(array_agg(h.id), '{}'), coalesce(array_agg(distinct h.queue) filter (where not h.asked), '{}'),
        array_agg(h.id) filter (where h.asked), array_agg(h.claims) filter (where h.asked)
    into v_released, v_queues, v_asked, v_claims
    from held h;

    if v_asked is not null then
        perform pgqueue.abandon(p_worker, v_asked, v_claims, null);
    end if;
    perform pgqueue.wake(q.queue) from unnest(v_queues) q (queue);
    return query select r.id from unnest(v_released) r (id);
end;
$$;

comment on function pgqueue.release(bigint, bigint[], integer[]) is
    'Gives claimed jobs back to their queue without counting the attempt; one that was asked to stop ends as cancelled.';
