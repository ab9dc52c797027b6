create or replace function pgqueue.take_up(p_worker bigint, p_limit integer default 10000)
returns integer
language plpgsql
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
as $$
-- take_up(worker, limit) → how many jobs were made ready; call again while it is the limit
--
--   A worker has come that knows kinds for which there was no handler: their jobs, in its queues, are ready at once.
--
-- p_limit   at most so many, so that neither the worker nor its queues wait for one long transaction.
-- Writes    pgqueue.job: scheduled → ready. pgqueue.postponed: their rows go.
-- Locks     the rows of the jobs; skips those that are claimed or cancelled at this moment.
-- Called by pgqueue/worker/steward.py, after it registered.
declare
    v_now    constant timestamptz := clock_timestamp();
    v_count  integer;
    v_queues text[];
begin
    with known as materialized (
        select array(select jsonb_object_keys(w.kinds)) as kinds, array(select jsonb_object_keys(w.queues)) as queues
        from pgqueue.worker w
        where w.id = p_worker
    ),
    chosen as materialized (
        -- Jobs first, as pgqueue.snooze locks them: the other way round both could wait for each other.
        select j.id, j.queue
        from known k
        join pgqueue.postponed p on p.kind = any (k.kinds) and p.queue = any (k.queues)
        join pgqueue.job j on j.id = any (array[p.job]) and j.claims = p.claims and j.worker is null
        limit p_limit
        for update of j skip locked
    ),
    given as (
        update pgqueue.job j set run_at = least(j.run_at, v_now) from chosen c where j.id = any (array[c.id])
    ),
    forgotten as (
        delete from pgqueue.postponed p using chosen c where p.job = any (array[c.id])
    )
    select count(*), coalesce(array_agg(distinct c.queue), '{}') into v_count, v_queues from chosen c;

    perform pgqueue.wake(q.queue) from unnest(v_queues) q (queue);
    return v_count;
end;
$$;

comment on function pgqueue.take_up(bigint, integer) is
    'Makes jobs ready that waited for a worker which knows their kind: this one does.';
