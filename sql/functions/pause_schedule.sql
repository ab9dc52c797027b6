create or replace function pgqueue.pause_schedule(name text)
returns void
language plpgsql
as $$
-- pause_schedule(name) → nothing
--
--   It fires no more until it is resumed, whatever a deploy declares. Jobs it has enqueued go on.
--
-- Raises    PQ021 when there is no such schedule.
-- Writes    pgqueue.schedule: one row.
-- Called by operators; pgqueue/calls/schedules.py.
begin
    update pgqueue.schedule s
    set paused_at = coalesce(s.paused_at, clock_timestamp()), watched_at = null
    where s.name = pause_schedule.name;
    if not found then
        perform pgqueue.refuse_schedule(name);
    end if;
end;
$$;

comment on function pgqueue.pause_schedule(text) is 'Keeps a schedule from firing until it is resumed; a deploy does not resume it.';
