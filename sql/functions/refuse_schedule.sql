create or replace function pgqueue.refuse_schedule(p_name text)
returns void
language plpgsql
as $$
-- refuse_schedule(name) → an error that names the schedule and others
--
-- Raises    PQ021, always.
-- Writes    nothing.
-- Called by pgqueue.pause_schedule, resume_schedule, run_schedule, remove_schedule.
begin
    raise exception using errcode = 'PQ021',
        message = format('schedule %s does not exist', quote_nullable(left(p_name, 300))),
        hint = coalesce(
            'There are: ' || left((select string_agg(s.name, ', ' order by s.name) from pgqueue.schedule s), 500),
            'There are none.'
        );
end;
$$;

comment on function pgqueue.refuse_schedule(text) is 'Raises PQ021 for a schedule that does not exist.';
