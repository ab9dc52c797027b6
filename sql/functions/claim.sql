create or replace function pgqueue.claim(
    p_worker       bigint,
    p_queue        text,
    p_limit        integer,
    p_after_run_at timestamptz[] default null,
    p_after_id     bigint[] default null
)
returns setof pgqueue.claimed
language plpgsql
-- A queue's statistics are always wrong: analyzed while empty, a million rows a second later. Left to choose, the
-- planner falls to a scan and sort of the whole table, a thousand times slower. One plan, whatever they say:
set enable_seqscan = off
set enable_bitmapscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set enable_sort = off
set plan_cache_mode = force_generic_plan
set jit = off
as $$
-- claim(worker, queue, limit, after_run_at, after_id) → 0 … limit jobs, in the order they should start
--
--   Takes ready jobs: lowest priority number first, then by run_at, then id. Jobs that another transaction is
--   claiming are skipped, never waited for.
--
--   One index range per priority, so that jobs dated ahead never stand between the claim and a ready one. The rows
--   are found by array(…), which is evaluated once: a join with the query itself could lock more than the limit. A loop
--   over that array keeps its order, which any other join and `= any` would lose; the settings leave no other.
--
-- p_after_* claim cursor: for each priority 0 … 9 the (run_at, id) of the last job taken, to skip the dead index
--           entries behind it, which nothing can remove while an old snapshot is open. Jobs that became runnable
--           behind the cursor (late commits, retries) are only found without it: sweep every second or so. Null, or
--           a null element: from the start. What other workers took since is passed by, see pgqueue.pass_taken.
-- Writes    pgqueue.job: ready → running; a HOT update, no indexed column changes.
-- Locks     the rows it takes.
-- Called by pgqueue.exchange; anyone's own worker.
declare
    v_now constant timestamptz := clock_timestamp();      -- volatile, so no index bound unless read first
begin
    if p_limit >= 32 and p_after_id is not null then
        select p.p_after_run_at, p.p_after_id into p_after_run_at, p_after_id
        from pgqueue.pass_taken(p_queue, p_limit, p_after_run_at, p_after_id) p;
    end if;
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
                and (c.run_at, c.id) > (
                    coalesce(p_after_run_at[p.priority + 1], '-infinity'), coalesce(p_after_id[p.priority + 1], 0)
                )
                and c.worker is null
                and (c.expires_at is null or c.expires_at > v_now)
            order by c.run_at, c.id
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

comment on function pgqueue.claim(bigint, text, integer, timestamptz[], bigint[]) is
    'Takes up to p_limit ready jobs of a queue for a worker, skipping those that others are claiming.';
