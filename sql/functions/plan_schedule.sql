create or replace function pgqueue.plan_schedule(p_name text, p_revision integer, p_next_run_at timestamptz, p_error text default null)
returns boolean
language plpgsql
as $$
-- plan_schedule(name, revision, next_run_at, error) → whether it was still so
--
--   Keeps the first moment of a schedule, which its owner has worked out; null: it has none and ends. Or why that could
--   not be done: then the schedule rests, with the error on its row, until it is changed or resumed.
--
-- Writes    pgqueue.schedule: one row, unless it was changed meanwhile.
-- Called by pgqueue/worker/leader.py.
begin
    update pgqueue.schedule s
    set error = p_error,
        next_run_at = case when p_error is null then p_next_run_at end,
        ended_at = case when p_error is null and p_next_run_at is null then clock_timestamp() end
    where s.name = p_name and s.revision = p_revision and (s.next_run_at is null or p_error is not null);
    return found;
end;
$$;

comment on function pgqueue.plan_schedule(text, integer, timestamptz, text) is 'Keeps the first moment of a schedule, or why it has none.';
