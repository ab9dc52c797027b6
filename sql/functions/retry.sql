create or replace function pgqueue.retry(id bigint)
returns void
language plpgsql
as $$
-- retry(id) → nothing
--
--   Brings a dead job back, under its old id: it is ready at once and has all its attempts again. Those that failed
--   stay on record. It no longer expires: who brings it back wants it run.
--
--   If another job of its unique key runs, and that key is held until it has finished, it waits until that one has
--   ended, for further attempts too (pgqueue.follow), and has the key then. If another one waits, that one keeps the
--   key, and this one comes back without it. Looked for under the kind; of a key with a scope of its own nothing is known.
--
-- Raises    PQ003 when there is no such job; PQ004 unless it is failed, cancelled or expired.
-- Writes    pgqueue.job_archive → pgqueue.job. pgqueue.unique_key, if it is to wait for another.
-- Called by operators; pgqueue/calls/jobs.py.
declare
    v_job record;
begin
    with gone as (
        delete from pgqueue.job_archive_ended a where a.id = retry.id returning a.*
    )
    insert into pgqueue.job as j (id, created_at, claims, priority, max_attempts, queue, kind, args, timeout, unique_key, meta)
    overriding system value
    select g.id, g.created_at, g.claims, g.priority, g.max_attempts, g.queue, g.kind, g.args, g.timeout,
        g.unique_key, g.meta
    from gone g
    returning j.queue, j.kind, j.unique_key into v_job;

    if not found then
        perform pgqueue.refuse_state(retry.id, 'only failed, cancelled and expired jobs can be retried');
    end if;
    if v_job.unique_key is not null then
        update pgqueue.unique_key u set job = retry.id, waits_for = u.job, run_at = clock_timestamp()
        where u.scope = v_job.kind and u.key = v_job.unique_key and u.until = 'finished' and u.waits_for is null
            and exists (select from pgqueue.job j where j.id = u.job and j.worker is not null);
        if found then
            update pgqueue.job j set run_at = '9999-12-30 00:00+00' where j.id = retry.id;
            return;
        end if;
    end if;
    perform pgqueue.wake(v_job.queue);
end;
$$;

comment on function pgqueue.retry(bigint) is 'Brings a failed, cancelled or expired job back under its old id, with all its attempts.';
