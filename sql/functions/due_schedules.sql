create or replace function pgqueue.due_schedules(p_within interval, p_limit integer default 1000)
returns table (
    name text, revision integer, cron text, every double precision, tz text, start_at timestamptz, end_at timestamptz,
    missed integer, overlap text, since timestamptz, next_run_at timestamptz, watched_at timestamptz, now timestamptz
)
language plpgsql
set enable_seqscan = off
set enable_bitmapscan = off
set enable_sort = off
set jit = off
as $$
-- due_schedules(within, limit) → schedules to look at, the most urgent first
--
--   Those that are due, or will be within that time, and those whose first moment nobody has worked out yet
--   (next_run_at is null). One look into an index, however many schedules there are. A worker that does not lead asks
--   for those that have been due for a while: their owner must have frozen.
--
-- Returns   the rule of each; every in seconds; since: its first moment comes after that one; now: the server's clock.
-- Writes    nothing.
-- Called by pgqueue/worker/leader.py, at each tick.
declare
    v_now constant timestamptz := clock_timestamp();
begin
    return query
    select
        s.name, s.revision, s.cron, extract(epoch from s.every)::double precision, s.tz, s.start_at, s.end_at, s.missed,
        s.overlap, s.changed_at, s.next_run_at, s.watched_at, v_now
    from pgqueue.schedule s
    where s.paused_at is null and s.ended_at is null and s.error is null
        and greatest(coalesce(s.next_run_at, s.changed_at), s.watched_at) <= v_now + p_within
    order by greatest(coalesce(s.next_run_at, s.changed_at), s.watched_at)
    limit p_limit;
end;
$$;

comment on function pgqueue.due_schedules(interval, integer) is 'Schedules that are due, or soon will be, with their rules.';
