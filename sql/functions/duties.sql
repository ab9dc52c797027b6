create or replace function pgqueue.duties(
    p_silence interval default '2 seconds', p_patience interval default '30 seconds',
    out rescue boolean, out tidy boolean, out forget boolean
)
language plpgsql
set enable_seqscan = off
set enable_bitmapscan = off
set enable_sort = off
set jit = off
as $$
-- duties() → rescue, tidy, forget: whether calling these verbs may change anything
--
--   Asked along with the lead, at each tick, so that an idle fleet costs no call that finds nothing to do. A yes is only
--   a hint: the verbs look for themselves.
--
-- p_*       as pgqueue.rescue.
-- Returns   rescue: a worker is silent, or one that ended was not looked at a last time. tidy: a job expired, or one
--           waits for another of its unique key. forget: a queue's bit says that somebody sleeps, and nobody does; or no
--           bit says anything yet.
-- Writes    nothing.
-- Called by pgqueue/worker/timetable.py, at each tick.
declare
    v_now constant timestamptz := clock_timestamp();
begin
    rescue := exists (
        select from pgqueue.worker w
        where (w.stopped_at is null and w.died_at is null and w.heartbeat_at <= v_now - p_silence)
            or (w.swept_at is null and coalesce(w.died_at, w.stopped_at) < v_now - p_patience)
    );
    tidy := exists (select from pgqueue.job j where j.expires_at <= v_now and j.worker is null)
        or exists (select from pgqueue.unique_key u where u.waits_for is not null);
    forget := pgqueue.asleep() is distinct from pg_sequence_last_value('pgqueue.sleepers');
end;
$$;

comment on function pgqueue.duties(interval, interval) is 'Whether there is something to rescue, to expire or to let follow, or a sleeper to forget.';
