-- Contract: these columns, in this order; more may be added at the end.
--
-- The owner is whoever holds the lead: the session that has the lock of pgqueue.lead and that of a worker's life.
create or replace view pgqueue.schedules as
select
    s.name, s.kind, s.queue, s.cron, s.every, s.tz,
    case
        when s.error is not null then 'error'
        when s.ended_at is not null then 'ended'
        when s.paused_at is not null then 'paused'
        when s.watched_at is not null then 'waiting'
        when s.next_run_at < clock_timestamp() - interval '10 seconds' then 'late'
        else 'active'
    end as state,
    s.source,
    exists (
        select from pgqueue.worker w where w.died_at is null and w.stopped_at is null and s.name = any (w.schedules)
    ) as in_code,
    s.next_run_at, s.last_due_at, s.last_run_at, s.last_run_at - s.last_due_at as drift,
    s.jobs[cardinality(s.jobs)] as last_job, l.state as last_state, l.error as last_error,
    s.runs, s.skipped, s.missed, s.overlap, s.args, s.options, s.start_at, s.end_at, s.max_runs, s.jitter,
    s.paused_at, s.error, o.owner, s.created_at, s.changed_at
from pgqueue.schedule s
left join lateral (
    select v.state, v.error from pgqueue.jobs v where v.id = s.jobs[cardinality(s.jobs)] limit 1
) l on true
left join (
    select w.name as owner
    from pg_locks k
    join pg_locks a on a.pid = k.pid and a.locktype = 'advisory' and a.classid = 1885827331 and a.objsubid = 2 and a.database = k.database
    join pgqueue.worker w on w.id = a.objid::bigint
    where k.locktype = 'advisory' and k.classid = 1885827332 and k.objid = 0 and k.objsubid = 2 and k.granted
        and k.database = (select d.oid from pg_database d where d.datname = current_database())
    limit 1
) o on true;

comment on view pgqueue.schedules is 'Schedules, with their next and last run. Columns are a contract: they keep their names, types and order.';
comment on column pgqueue.schedules.name is 'There is one of each name.';
comment on column pgqueue.schedules.kind is 'Name of the handler of its jobs.';
comment on column pgqueue.schedules.queue is 'Where its jobs go.';
comment on column pgqueue.schedules.cron is 'Cron expression; null: see every.';
comment on column pgqueue.schedules.every is 'Time between two runs; null: see cron.';
comment on column pgqueue.schedules.tz is 'Time zone of the expression.';
comment on column pgqueue.schedules.state is 'active; paused; ended; error: see there; waiting: for the run before; late: nobody fires it.';
comment on column pgqueue.schedules.source is 'code: declared by workers. operator: made by a call.';
comment on column pgqueue.schedules.in_code is 'Whether a running worker has it in its code.';
comment on column pgqueue.schedules.next_run_at is 'Its next moment; null when none comes, or nobody has worked it out yet.';
comment on column pgqueue.schedules.last_due_at is 'Moment of its last run.';
comment on column pgqueue.schedules.last_run_at is 'When its last job was enqueued.';
comment on column pgqueue.schedules.drift is 'How much later than its moment that was.';
comment on column pgqueue.schedules.last_job is 'Its last job.';
comment on column pgqueue.schedules.last_state is 'State of its last job; null before the first, and when retention has removed it.';
comment on column pgqueue.schedules.last_error is 'Last error of its last job.';
comment on column pgqueue.schedules.runs is 'Runs so far, without those asked for by hand.';
comment on column pgqueue.schedules.skipped is 'Moments passed over because the run before was not over.';
comment on column pgqueue.schedules.missed is 'How many moments are made up for that came while nobody was running: 0 none, 1 the last, n the last n.';
comment on column pgqueue.schedules.overlap is 'While the run before is not over: allow, skip or queue.';
comment on column pgqueue.schedules.args is 'Keyword arguments of its jobs.';
comment on column pgqueue.schedules.options is 'Other options of its jobs.';
comment on column pgqueue.schedules.start_at is 'No run before this moment; null for at once.';
comment on column pgqueue.schedules.end_at is 'No run after this moment; null for never.';
comment on column pgqueue.schedules.max_runs is 'It ends after that many runs; null for no limit.';
comment on column pgqueue.schedules.jitter is 'Each job starts up to so much after its moment, by chance; null for at once.';
comment on column pgqueue.schedules.paused_at is 'When it was paused; null while it is not.';
comment on column pgqueue.schedules.error is 'Why its moments cannot be worked out; it rests until it is changed or resumed.';
comment on column pgqueue.schedules.owner is 'Name of the worker that fires schedules now; null while there is none.';
comment on column pgqueue.schedules.created_at is 'When it was made.';
comment on column pgqueue.schedules.changed_at is 'When its time was last changed.';
