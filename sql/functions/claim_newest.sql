create or replace function pgqueue.claim_newest(p_worker bigint, p_queue text, p_limit integer)
returns table (
    id bigint, claims integer, queue text, kind text, args jsonb, priority smallint, attempt smallint,
    max_attempts smallint, run_at timestamptz, created_at timestamptz, timeout interval, meta jsonb
)
language plpgsql
-- As in pgqueue.claim: one plan, whatever the statistics say.
set enable_seqscan = off
set enable_bitmapscan = off
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
    with taken as (
        update pgqueue.job j
        set worker = p_worker, claimed_at = v_now, claims = j.claims + 1, attempt = j.attempt + 1
        where j.ctid = any (array(
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
        ))
        returning j.*
    )
    select
        t.id, t.claims, t.queue, t.kind, t.args, t.priority, t.attempt, t.max_attempts, t.run_at, t.created_at, t.timeout,
        t.meta
    from taken t
    order by t.priority, t.run_at desc, t.id desc;                  -- an update by ctid returns in the order of pages
end;
$$;

comment on function pgqueue.claim_newest(bigint, text, integer) is
    'Takes up to p_limit ready jobs of a queue for a worker, the newest first, skipping those that others are claiming.';
