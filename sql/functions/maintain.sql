create or replace function pgqueue.maintain(p_days_ahead integer default 3)
returns void
language plpgsql
set lock_timeout = '500ms'
as $$
-- maintain(days ahead) → nothing
--
--   Keeps the archive: makes the partitions of today and the next days, drops those whose time is up, forgets old
--   attempts and workers, what jobs said that have gone, the steps of jobs that cannot run again, why jobs waited that have gone, and the moments of
--   schedules that were dealt with a day ago.
--
--   Days are those of UTC. Default time: completed 1 day, other outcomes 14 days; pgqueue.queue overrides it. Rows of a
--   queue that keeps longer move to the default partition when their day is dropped.
--
--   Whoever reads pgqueue.jobs locks the archive from the top down, the half 'ended' before 'completed'. So do we, and
--   we give up before a second is over: after that Postgres would look for a deadlock, and might end the reader.
--
-- Raises    55P03 when a long read of the archive keeps a lock for half a second: nothing was done, call again later.
-- Writes    partitions of pgqueue.job_archive; pgqueue.attempt, once, postponed, progress, job_log, schedule_run and worker: deletes.
-- Locks     advisory (maintain) until the transaction ends: a second caller returns at once.
-- Called by pgqueue/worker/leader.py, at start and every hour.
declare
    v_today constant date := (clock_timestamp() at time zone 'UTC')::date;
begin
    if not pg_try_advisory_xact_lock(1885827333, 0) then
        return;
    end if;
    -- A failed job may be retried by hand, and must not take its steps again. A completed one never runs again.
    delete from pgqueue.once o
    where not exists (select from pgqueue.job j where j.id = o.job)
        and not exists (select from pgqueue.job_archive_ended a where a.id = o.job);

    -- One row of progress for each job that ever said anything, so that its lines need not be looked through.
    with gone as (
        delete from pgqueue.progress p
        where p.updated_at < clock_timestamp() - interval '1 hour'
            and not exists (select from pgqueue.job j where j.id = p.job)
            and not exists (select from pgqueue.job_archive a where a.id = p.job)
        returning p.job
    )
    delete from pgqueue.job_log l using gone g where l.job = g.job;

    perform pgqueue.drop_days('ended', interval '14 days');
    for i in 0 .. p_days_ahead loop
        perform pgqueue.make_day('ended', v_today + i);
    end loop;
    perform pgqueue.drop_days('completed', interval '1 day');
    for i in 0 .. p_days_ahead loop
        perform pgqueue.make_day('completed', v_today + i);
    end loop;

    delete from pgqueue.worker w
    where coalesce(w.stopped_at, w.swept_at) < clock_timestamp() - interval '1 day';
    -- No owner comes back to a moment of yesterday: next_run_at has long been past it.
    delete from pgqueue.schedule_run r where r.fired_at < clock_timestamp() - interval '1 day';
    delete from pgqueue.attempt a
    where a.finished_at < clock_timestamp() - (
            select greatest(interval '14 days', max(q.keep_completed), max(q.keep_ended)) from pgqueue.queue q
        )
        and not exists (select from pgqueue.job j where j.id = a.job);
    delete from pgqueue.postponed p where not exists (select from pgqueue.job j where j.id = p.job);
end;
$$;

comment on function pgqueue.maintain(integer) is
    'Makes the archive''s partitions ahead and drops what retention no longer keeps.';
