create or replace function pgqueue.exchange(
    p_worker       bigint,
    p_ids          bigint[],
    p_claims       integer[],
    p_results      jsonb[],
    p_queues       text[],
    p_limits       integer[],
    p_after_run_at timestamptz[] default null,
    p_after_id     bigint[] default null,
    p_result_ttls  interval[] default null
)
returns setof pgqueue.claimed
language plpgsql
as $$
-- exchange(worker, finished ids, claims, results, queues, limits, cursors, result_ttls) → lost ids, then claimed jobs
--
--   A worker's hot path: hands in what completed since the last call and takes new jobs, in one round trip and one
--   commit.
--
-- p_queues  queues to claim from, each with its limit in p_limits; may be empty to only hand in.
-- p_after_* claim cursors, ten elements for each queue, one after the other; null: sweep all from the start.
-- p_result_ttls as finish.
-- Returns   first a row for each completed job whose claim was lost: its id, all else null. Then the claimed jobs, as
--           pgqueue.claim gives them.
-- Raises    PQ005 when the worker was declared dead: it must claim nothing more, its jobs were given to others.
-- Writes    as finish and claim.
-- Called by pgqueue/worker/lanes.py.
declare
    v_lifo text[];
begin
    if cardinality(p_ids) > 0 then
        return query
        select f.id, null::integer, null::text, null::text, null::jsonb, null::smallint, null::smallint,
            null::smallint, null::timestamptz, null::timestamptz, null::interval, null::jsonb
        from pgqueue.finish(p_worker, p_ids, p_claims, p_results, p_result_ttls) f (id);
    else
        -- A claim that a server crash takes back is the same as a worker that died before it started: nothing is lost
        -- by not waiting for the disk. An outcome always waits.
        perform set_config('synchronous_commit', 'off', true);
    end if;

    if cardinality(p_queues) > 0 then
        -- One query for both, as every statement has its price: does the worker live, and which queues are newest first?
        select array(select q.name from pgqueue.queue q where q.lifo) into v_lifo
        from pgqueue.worker w
        where w.id = p_worker and w.died_at is null and w.stopped_at is null;
        if not found then
            perform pgqueue.check_worker(p_worker);
        end if;
    end if;
    for i in 1 .. cardinality(p_queues) loop
        if p_queues[i] = any (v_lifo) then
            return query select c.* from pgqueue.claim_newest(p_worker, p_queues[i], p_limits[i]) c;
            continue;
        end if;
        return query
        select c.*
        from pgqueue.claim(
            p_worker, p_queues[i], p_limits[i], p_after_run_at[(i - 1) * 10 + 1 : i * 10],
            p_after_id[(i - 1) * 10 + 1 : i * 10]
        ) c;
    end loop;
end;
$$;

comment on function pgqueue.exchange(bigint, bigint[], integer[], jsonb[], text[], integer[], timestamptz[], bigint[], interval[]) is
    'Hands in completed jobs and takes new ones, in one round trip and one commit: the hot path of a worker.';
