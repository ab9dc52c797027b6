create or replace function pgqueue.enqueue_each(jobs jsonb)
returns table (id bigint, created boolean)
language plpgsql
as $$
-- enqueue_each(jobs) → id, created for each, in the order given
--
--   As pgqueue.enqueue_many, one job after the other: for lists in which a job has a unique key. Those without go
--   first; then keys are taken in their own order, not that of the list, so that two lists with the same keys never wait
--   for each other in a circle. Of two jobs with one key the first wins.
--
-- jobs      as pgqueue.enqueue_many has checked it.
-- Raises    PQ001 when a value breaks a rule.
-- Writes    as pgqueue.enqueue.
-- Called by pgqueue.enqueue_many.
declare
    v_ids     bigint[] := array_fill(null::bigint, array[jsonb_array_length(jobs)]);
    v_created boolean[] := array_fill(null::boolean, array[jsonb_array_length(jobs)]);
    v_job     record;
    v_added   record;
begin
    for v_job in
        select e.place, g.*
        from jsonb_array_elements(jobs) with ordinality e (job, place)
        cross join lateral jsonb_to_record(e.job) as g (
            kind text, args jsonb, queue text, priority integer, run_at timestamptz, delay interval, max_attempts integer,
            timeout interval, meta jsonb, expires_at timestamptz, expires_in interval, unique_key text, unique_scope text,
            unique_until text, unique_for interval, on_conflict text
        )
        order by g.unique_key is not null, coalesce(g.unique_scope, g.kind) collate "C", g.unique_key collate "C", e.place
    loop
        select e.id, e.created into v_added
        from pgqueue.enqueue(
            v_job.kind, coalesce(v_job.args, '{}'), coalesce(v_job.queue, 'default'), coalesce(v_job.priority, 5),
            v_job.run_at, v_job.delay, coalesce(v_job.max_attempts, 20), v_job.timeout, v_job.meta, v_job.expires_at,
            v_job.expires_in, v_job.unique_key, v_job.unique_scope, v_job.unique_until, v_job.unique_for, v_job.on_conflict
        ) e;
        v_ids[v_job.place] := v_added.id;
        v_created[v_job.place] := v_added.created;
    end loop;
    return query select * from unnest(v_ids, v_created);
end;
$$;

comment on function pgqueue.enqueue_each(jsonb) is 'Adds an array of jobs one by one; what pgqueue.enqueue_many does when one of them has a unique key.';
