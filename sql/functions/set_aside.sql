create or replace function pgqueue.set_aside(p_worker bigint, p_ids bigint[], p_claims integer[])
returns setof bigint
language plpgsql
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
as $$
-- set_aside(worker, ids, claims) → ids whose claim was lost, so nothing was recorded for them
--
--   Jobs of a kind that the worker has no handler for: they wait until one has, as long as that may be. No attempt is
--   counted and nothing is lost; pgqueue.unknown_kinds shows them.
--
--   A worker that comes and knows the kind calls for them at once (pgqueue.take_up). In case it came just before, or does
--   not say what it knows, they are tried again after a minute, later every half of the time they have waited, at most
--   an hour. If a worker of their queue knows the kind now, after about a second: this one is of another version.
--
-- Writes    as pgqueue.snooze.
-- Locks     as pgqueue.snooze.
-- Called by pgqueue/worker/lanes.py.
declare
    v_now     constant timestamptz := clock_timestamp();
    v_delays  interval[];
    v_reasons text[];
begin
    select
        array_agg(
            case
                when exists (
                    select from pgqueue.worker w
                    where w.died_at is null and w.stopped_at is null and w.heartbeat_at > v_now - interval '30 seconds'
                        and w.queues ? j.queue and w.kinds ? j.kind
                ) then interval '1 second'
                else greatest(interval '1 minute', least(interval '1 hour', coalesce(v_now - p.since, '0') / 2))
            end * (1 - random() / 2)                          -- or they would all come back together
            order by t.nr
        ),
        array_agg(format('UnknownKind: no worker with a handler for %s took this job; it waits for one', j.kind) order by t.nr)
    into v_delays, v_reasons
    from unnest(p_ids) with ordinality t (id, nr)
    left join pgqueue.job j on j.id = any (array[t.id])
    left join pgqueue.postponed p on p.job = any (array[t.id]) and p.kind = j.kind;

    return query select s.id from pgqueue.snooze(p_worker, p_ids, p_claims, v_delays, v_reasons, true) s (id);
end;
$$;

comment on function pgqueue.set_aside(bigint, bigint[], integer[]) is
    'Lets jobs wait for a worker that has a handler for their kind; no attempt is counted.';
