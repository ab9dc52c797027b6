create or replace function pgqueue.claim_newest(p_worker bigint, p_queue text, p_limit integer)
returns setof pgqueue.claimed
language plpgsql
-- As in pgqueue.claim: one plan, whatever the statistics say.
set enable_seqscan = off
set enable_bitmapscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set enable_sort = off
set plan_cache_mode = force_generic_plan
set jit = off
as $$
-- claim_newest(worker, queue, limit) → 0 … limit jobs, in the order they should start
--
--   As pgqueue.claim, but the newest first: lowest priority number first, then the latest run_at that has come, then the
--   highest id. For queues that are set to lifo.
--
--   There is no cursor: what is new comes before whatever was taken last. So dead index entries of jobs just taken are
--   read again while an old snapshot is open.
--
-- Writes    pgqueue.job: ready → running; a HOT update, no indexed column changes.
-- Locks     the rows it takes.
-- Called by pgqueue.exchange.
declare
    v_now constant timestamptz := clock_timestamp();      -- volatile, so no index bound unless read first
begin
    return query
    update pgqueue.job j
    set worker = p_worker, claimed_at = v_now, claims = j.claims + 1, attempt = j.attempt + 1
    from unnest(array(
        select r.ctid
        from generate_series(0, 9) p (priority)
        cross join lateral (
            select c.ctid
            from pgqueue.job c
            where c.queue = p_queue
                and c.priority = p.priority::smallint
                and c.run_at <= v_now
                and c.worker is null
                and (c.expires_at is null or c.expires_at > v_now)
            order by c.run_at desc, c.id desc
            limit p_limit
            for no key update skip locked
        ) r
        limit p_limit
    )) t (place)
    where j.ctid = t.place
    returning
        j.id, j.claims, j.queue, j.kind, j.args, j.priority, j.attempt, j.max_attempts, j.run_at, j.created_at,
        j.timeout, j.meta;
end;
$$;

comment on function pgqueue.claim_newest(bigint, text, integer) is
    'Takes up to p_limit ready jobs of a queue for a worker, the newest first, skipping those that others are claiming.';
