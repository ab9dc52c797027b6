create or replace function pgqueue.cancel_asked(p_worker bigint, p_ids bigint[], p_claims integer[])
returns table (id bigint, claims integer, reason text)
language plpgsql
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
as $$
-- cancel_asked(worker, ids, claims) → those of these running jobs that somebody asked to stop, and why
--
--   For a worker that missed the notification of pgqueue.cancel, or cannot hear any behind a connection pooler.
--
-- Returns   the reason as it was given; null for none.
-- Writes    nothing.
-- Called by pgqueue/worker/steward.py, every second while a job runs for longer than an instant.
begin
    -- any (array[…]): see pgqueue.finish.
    return query
    select j.id, j.claims, nullif(j.cancel_reason, '')
    from unnest(p_ids, p_claims) t (id, claims)
    join pgqueue.job j on j.id = any (array[t.id]) and j.claims = t.claims and j.worker = p_worker
    where j.cancel_reason is not null;
end;
$$;

comment on function pgqueue.cancel_asked(bigint, bigint[], integer[]) is
    'Which of a worker''s running jobs were asked to stop by pgqueue.cancel.';
