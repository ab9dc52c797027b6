create or replace function pgqueue.hold(p_worker bigint, p_ids bigint[], p_claims integer[])
returns setof bigint
language plpgsql
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
as $$
-- hold(worker, ids, claims) → ids that the worker does not hold any more
--
--   A server that crashed, and a standby that was promoted, may have forgotten a worker's last claims: they commit
--   asynchronously. Such a job looks as before its claim while its run goes on. As long as nobody else has taken it, it
--   is given back to that run, under the same claim. Otherwise the run can no longer report: the worker should stop it.
--
-- p_ids     all that the worker holds or has yet to report, with their claims.
-- Raises    PQ005 when the worker was declared dead: it holds nothing.
-- Writes    pgqueue.job: ready → running.
-- Locks     the rows it gives back, in id order.
-- Called by pgqueue/worker/lanes.py, after each reconnect, once reconcile is done.
begin
    perform pgqueue.check_worker(p_worker);

    -- any (array[…]): see pgqueue.finish. Claims never go back but by a crash: a job one claim behind was not taken since.
    update pgqueue.job j
    set worker = p_worker, claimed_at = clock_timestamp(), claims = t.claims, attempt = j.attempt + 1
    from (select u.* from unnest(p_ids, p_claims) u (id, claims) order by u.id) t
    where j.id = any (array[t.id]) and j.claims = t.claims - 1 and j.worker is null;

    return query
    select t.id
    from unnest(p_ids, p_claims) t (id, claims)
    where not exists (
        select from pgqueue.job j where j.id = any (array[t.id]) and j.claims = t.claims and j.worker = p_worker
    );
end;
$$;

comment on function pgqueue.hold(bigint, bigint[], integer[]) is
    'Gives a worker its claims back that a crashed server forgot; returns the ids it does not hold any more.';
