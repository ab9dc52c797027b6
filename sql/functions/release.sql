create or replace function pgqueue.release(p_worker bigint, p_ids bigint[], p_claims integer[])
returns setof bigint
language plpgsql
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
as $$
-- release(worker, ids, claims) → ids that went back to the queue
--
--   Gives jobs back unstarted: the attempt is not counted and run_at stays, so they are next in line for any worker.
--
-- Returns   the ids that were still held under that claim; the rest had moved on.
-- Writes    pgqueue.job: running → ready.
-- Locks     the rows it names, in id order.
-- Called by pgqueue/worker/lanes.py, at shutdown; pgqueue.reconcile and pgqueue.rescue.
declare
    v_released bigint[];
    v_queues   text[];
begin
    -- any (array[…]): see pgqueue.finish.
    with given as (
        update pgqueue.job j
        set worker = null, claimed_at = null, attempt = j.attempt - 1
        from (select u.* from unnest(p_ids, p_claims) u (id, claims) order by u.id) t
        where j.id = any (array[t.id]) and j.claims = t.claims and j.worker = p_worker
        returning j.id, j.queue
    )
    select coalesce(array_agg(g.id), '{}'), coalesce(array_agg(distinct g.queue), '{}') into v_released, v_queues
    from given g;

    perform pgqueue.wake(q.queue) from unnest(v_queues) q (queue);
    return query select r.id from unnest(v_released) r (id);
end;
$$;

comment on function pgqueue.release(bigint, bigint[], integer[]) is
    'Gives claimed jobs back to their queue without counting the attempt.';
