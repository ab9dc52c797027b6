create or replace function pgqueue.prune_schedules()
returns setof text
language plpgsql
as $$
-- prune_schedules() → names of the schedules that were removed
--
--   Removes the schedules that came from code and are in the code of no running worker any more. An operator's stay.
--
-- Raises    PQ020 while no worker is running: nobody could say what is in the code.
-- Writes    pgqueue.schedule and pgqueue.schedule_run: deletes.
-- Called by operators; pgqueue/calls/schedules.py.
declare
    v_name text;
begin
    if not exists (select from pgqueue.worker w where w.died_at is null and w.stopped_at is null) then
        raise exception using errcode = 'PQ020',
            message = 'no worker is running, so nobody can say which schedules are in the code; nothing was removed',
            hint = 'Start the workers first, or remove schedules by name.';
    end if;
    for v_name in
        select v.name from pgqueue.schedules v where v.source = 'code' and not v.in_code order by v.name
    loop
        perform pgqueue.remove_schedule(v_name);
        return next v_name;
    end loop;
end;
$$;

comment on function pgqueue.prune_schedules() is 'Removes schedules that came from code and are in the code of no running worker.';
