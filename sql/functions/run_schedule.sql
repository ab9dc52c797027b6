create or replace function pgqueue.run_schedule(name text)
returns bigint
language plpgsql
as $$
-- run_schedule(name) → id of the job
--
--   Enqueues one job of the schedule now, beside its own moments: next_run_at stays, and it counts in no max_runs. It
--   asks neither for a pause nor whether the run before is over.
--
-- Raises    PQ021 when there is no such schedule; whatever pgqueue.enqueue_many raises.
-- Writes    pgqueue.job and pgqueue.schedule: one row each.
-- Called by operators; pgqueue/calls/schedules.py.
declare
    v_now      constant timestamptz := clock_timestamp();
    v_schedule pgqueue.schedule;
    v_job      bigint;
begin
    select s.* into v_schedule from pgqueue.schedule s where s.name = run_schedule.name for no key update;
    if not found then
        perform pgqueue.refuse_schedule(name);
    end if;
    v_schedule.jitter := null;
    v_job := pgqueue.enqueue_run(v_schedule, v_now);
    update pgqueue.schedule s
    set last_due_at = v_now, last_run_at = clock_timestamp(),
        jobs = array(select j.id from pgqueue.job j where j.id = any (v_schedule.jobs) order by j.id) || v_job
    where s.name = run_schedule.name;
    return v_job;
end;
$$;

comment on function pgqueue.run_schedule(text) is 'Enqueues a job of the schedule now; its next moment stays.';
