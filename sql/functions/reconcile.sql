create or replace function pgqueue.reconcile(p_worker bigint, p_ids bigint[], p_claims integer[])
returns setof bigint
language plpgsql
set jit = off
as $$
-- reconcile(worker, ids, claims) → ids that were released
--
--   After a lost connection the answer to a claim may be lost with it: jobs are then held by a worker that never heard
--   of them. The worker says what it does hold; the rest goes back, the attempt not counted.
--
-- p_ids     all that the worker holds or has yet to report, with their claims; may be empty.
-- Writes    pgqueue.job: running → ready.
-- Called by pgqueue/worker/lanes.py, after each reconnect; pgqueue.leave.
declare
    v_ids    bigint[];
    v_claims integer[];
begin
    select coalesce(array_agg(j.id), '{}'), coalesce(array_agg(j.claims), '{}') into v_ids, v_claims
    from pgqueue.job j
    where j.worker = p_worker
        and not exists (select from unnest(p_ids, p_claims) t (id, claims) where t.id = j.id and t.claims = j.claims);
    return query select r from pgqueue.release(p_worker, v_ids, v_claims) r;
end;
$$;

comment on function pgqueue.reconcile(bigint, bigint[], integer[]) is
    'Releases the jobs that a worker holds on record but does not know of, after it lost a connection.';
