create or replace function pgqueue.snooze(
    p_worker  bigint,
    p_ids     bigint[],
    p_claims  integer[],
    p_delays  interval[],
    p_reasons text[],
    p_unknown boolean default false
)
returns setof bigint
language plpgsql
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
as $$
-- snooze(worker, ids, claims, delays, reasons, unknown) → ids whose claim was lost, so nothing was recorded for them
--
--   Running jobs that wait and then start again: the attempt is not counted. One that was asked to stop ends as
--   cancelled instead.
--
-- p_delays  how long from now. p_reasons: why, shown as the job's error while it waits.
-- p_unknown whether they wait because the worker has no handler for them; see pgqueue.set_aside.
-- Writes    pgqueue.job: running → scheduled, or → pgqueue.job_archive as cancelled. pgqueue.postponed: one row each.
-- Locks     the rows it names, in id order.
-- Called by pgqueue/worker/lanes.py; pgqueue.set_aside.
declare
    v_now    constant timestamptz := clock_timestamp();
    v_known  bigint[];
    v_asked  bigint[];
    v_claims integer[];
    v_wake   record;
begin
    -- any (array[…]): see pgqueue.finish.
    with told as materialized (
        select distinct on (t.id, t.claims) t.*               -- told twice is told once
        from unnest(p_ids, p_claims, p_delays, p_reasons) t (id, claims, delay, reason)
    ),
    held as materialized (
        select j.id, j.claims, j.queue, j.kind, j.cancel_reason is not null as asked, t.delay, t.reason
        from told t
        join pgqueue.job j on j.id = any (array[t.id]) and j.claims = t.claims and j.worker = p_worker
        order by t.id                                         -- not j.id: it could be read off job_pkey
        for update of j
    ),
    waiting as (
        update pgqueue.job j
        set worker = null, claimed_at = null, attempt = j.attempt - 1, run_at = v_now + greatest(h.delay, interval '0')
        from held h
        where j.id = any (array[h.id]) and not h.asked
    ),
    noted as (
        insert into pgqueue.postponed as p (job, claims, queue, kind, reason, since)
        select h.id, h.claims, h.queue, case when p_unknown then h.kind end, coalesce(h.reason, 'Snooze'), v_now
        from held h
        where not h.asked
        on conflict (job) do update
        set claims = excluded.claims, kind = excluded.kind, reason = excluded.reason,
            since = case when p.kind = excluded.kind then p.since else excluded.since end
    )
    select
        coalesce(array_agg(h.id), '{}'),
        array_agg(h.id) filter (where h.asked), array_agg(h.claims) filter (where h.asked)
    into v_known, v_asked, v_claims
    from held h;

    if v_asked is not null then
        perform pgqueue.abandon(p_worker, v_asked, v_claims, null);
    end if;
    for v_wake in
        select j.queue, min(j.run_at) as run_at
        from unnest(v_known) k (id)
        join pgqueue.job j on j.id = any (array[k.id])
        where j.worker is null
        group by j.queue
    loop
        perform pgqueue.wake(v_wake.queue, v_wake.run_at);
    end loop;

    return query select t.id from unnest(p_ids) t (id) where t.id <> all (v_known);
end;
$$;

comment on function pgqueue.snooze(bigint, bigint[], integer[], interval[], text[], boolean) is
    'Lets running jobs wait and start again later without counting the attempt; the reason is kept.';
