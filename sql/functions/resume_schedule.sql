create or replace function pgqueue.resume_schedule(name text)
returns void
language plpgsql
as $$
-- resume_schedule(name) → nothing
--
--   It fires again. For the moments that passed meanwhile its rule for missed ones holds, as if nobody had been running.
--   One that rests because of an error is tried again, from now on.
--
-- Raises    PQ021 when there is no such schedule.
-- Writes    pgqueue.schedule: one row. Sends a notification on channel pgqueue_schedule.
-- Called by operators; pgqueue/calls/schedules.py.
begin
    update pgqueue.schedule s
    set paused_at = null, error = null, changed_at = case when s.error is null then s.changed_at else clock_timestamp() end
    where s.name = resume_schedule.name;
    if not found then
        perform pgqueue.refuse_schedule(name);
    end if;
    perform pg_notify('pgqueue_schedule', name);
end;
$$;

comment on function pgqueue.resume_schedule(text) is 'Lets a paused schedule fire again; its rule for missed runs decides about those that passed meanwhile.';
