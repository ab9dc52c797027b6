create or replace function pgqueue.enqueue_run(p_schedule pgqueue.schedule, p_due_at timestamptz)
returns bigint
language plpgsql
as $$
-- enqueue_run(schedule, due_at) → id of the job
--
--   Enqueues the job of one moment, by pgqueue.enqueue_many, so that all its rules hold and sleeping workers wake. The
--   job's meta says which schedule and which moment it is for.
--
-- Raises    whatever pgqueue.enqueue_many raises.
-- Writes    pgqueue.job: one row.
-- Called by pgqueue.fire and run_schedule.
declare
    v_meta constant jsonb := jsonb_build_object(
        'schedule', p_schedule.name,
        'due_at', to_char(p_due_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"')
    );
    v_job  jsonb;
begin
    v_job := p_schedule.options || jsonb_build_object(
        'kind', p_schedule.kind, 'args', p_schedule.args, 'queue', p_schedule.queue,
        'meta', coalesce(nullif(p_schedule.options -> 'meta', 'null'), '{}') || v_meta
    );
    if p_schedule.jitter > interval '0' then
        v_job := v_job || jsonb_build_object('delay', random() * p_schedule.jitter);
    end if;
    return (select e.id from pgqueue.enqueue_many(jsonb_build_array(v_job)) e);
end;
$$;

comment on function pgqueue.enqueue_run(pgqueue.schedule, timestamptz) is 'Enqueues the job of one moment of a schedule.';
