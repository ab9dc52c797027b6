create or replace function pgqueue.remove_schedule(name text)
returns void
language plpgsql
as $$
-- remove_schedule(name) → nothing
--
--   Forgets it. Jobs it has enqueued stay. One that the code still declares comes back with the next worker that starts;
--   pause it instead.
--
-- Raises    PQ021 when there is no such schedule.
-- Writes    pgqueue.schedule and pgqueue.schedule_run: deletes.
-- Called by operators; prune_schedules; pgqueue/calls/schedules.py.
begin
    delete from pgqueue.schedule s where s.name = remove_schedule.name;
    if not found then
        perform pgqueue.refuse_schedule(name);
    end if;
    delete from pgqueue.schedule_run r where r.schedule = remove_schedule.name;
end;
$$;

comment on function pgqueue.remove_schedule(text) is 'Forgets a schedule; jobs it has enqueued stay.';
