create or replace function pgqueue.retry(id bigint)
returns void
language plpgsql
as $$
-- retry(id) → nothing
--
--   Brings a dead job back, under its old id: it is ready at once and has all its attempts again. Those that failed
--   stay on record. It no longer expires: who brings it back wants it run.
--
-- Raises    PQ003 when there is no such job; PQ004 unless it is failed, cancelled or expired.
-- Writes    pgqueue.job_archive → pgqueue.job.
-- Called by operators; pgqueue/calls/jobs.py.
declare
    v_queue text;
begin
    with gone as (
        delete from pgqueue.job_archive_ended a where a.id = retry.id returning a.*
    )
    insert into pgqueue.job as j (id, created_at, claims, priority, max_attempts, queue, kind, args, timeout, unique_key, meta)
    overriding system value
    select g.id, g.created_at, g.claims, g.priority, g.max_attempts, g.queue, g.kind, g.args, g.timeout,
        g.unique_key, g.meta
    from gone g
    returning j.queue into v_queue;

    if not found then
        perform pgqueue.refuse_state(retry.id, 'only failed, cancelled and expired jobs can be retried');
    end if;
    perform pgqueue.wake(v_queue);
end;
$$;

comment on function pgqueue.retry(bigint) is 'Brings a failed, cancelled or expired job back under its old id, with all its attempts.';
