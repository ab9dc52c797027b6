-- Durable schedules, one row each, upserted by name. Who owns them fires what is due and moves next_run_at on in one
-- transaction (pgqueue.fire). What an expression means is worked out by the owner; SQL only keeps the answer.
create table pgqueue.schedule (
    name         text        collate "C" not null,
    kind         text        collate "C" not null,
    args         jsonb       not null default '{}',
    queue        text        collate "C" not null default 'default',
    options      jsonb       not null default '{}',
    cron         text,
    every        interval,
    tz           text        not null default 'UTC',
    start_at     timestamptz,
    end_at       timestamptz,
    max_runs     integer,
    jitter       interval,
    missed       integer     not null default 1,
    overlap      text        collate "C" not null default 'allow',
    source       text        collate "C" not null default 'operator',
    declared     jsonb,
    revision     integer     not null default 1,
    created_at   timestamptz not null default clock_timestamp(),
    changed_at   timestamptz not null default clock_timestamp(),
    next_run_at  timestamptz,
    watched_at   timestamptz,
    paused_at    timestamptz,
    ended_at     timestamptz,
    error        text,
    runs         bigint      not null default 0,
    skipped      bigint      not null default 0,
    last_due_at  timestamptz,
    last_run_at  timestamptz,
    jobs         bigint[]    not null default '{}',
    constraint schedule_pkey primary key (name),
    constraint schedule_cron_or_every check (num_nonnulls(cron, every) = 1)
) with (
    fillfactor = 50,
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 1000
);

-- What the owner has to look at next: a moment that is due, or a row whose first moment nobody has worked out yet. One
-- that waits for the run before counts from when it was last looked at, so that only its owner looks.
create index schedule_due on pgqueue.schedule ((greatest(coalesce(next_run_at, changed_at), watched_at)))
    where paused_at is null and ended_at is null and error is null;

-- The guard: whatever happens to owners and clocks, a moment of a schedule is dealt with once.
create table pgqueue.schedule_run (
    schedule text        collate "C" not null,
    due_at   timestamptz not null,
    fired_at timestamptz not null default clock_timestamp(),
    job      bigint,
    constraint schedule_run_pkey primary key (schedule, due_at)
);

create index schedule_run_fired_at on pgqueue.schedule_run using brin (fired_at);

comment on table pgqueue.schedule is 'Schedules. Written by the functions of this schema only; read the view pgqueue.schedules.';
comment on column pgqueue.schedule.name is 'Letters, digits, ''.'', ''_'', ''-'', '':''; at most 255 bytes.';
comment on column pgqueue.schedule.kind is 'Name of the handler of its jobs.';
comment on column pgqueue.schedule.args is 'Keyword arguments of its jobs, a JSON object.';
comment on column pgqueue.schedule.queue is 'Where its jobs go.';
comment on column pgqueue.schedule.options is 'Other options of its jobs, as in pgqueue.enqueue_many: {"priority": 0}.';
comment on column pgqueue.schedule.cron is 'Cron expression of five fields, of six with seconds first, or a nickname such as @daily; null: see every.';
comment on column pgqueue.schedule.every is 'Time between two runs; null: see cron.';
comment on column pgqueue.schedule.tz is 'Time zone of the expression, a name of the time zone database.';
comment on column pgqueue.schedule.start_at is 'No run before this moment; an interval is counted from it. Null for at once.';
comment on column pgqueue.schedule.end_at is 'No run after this moment; null for never.';
comment on column pgqueue.schedule.max_runs is 'It ends after that many runs; null for no limit.';
comment on column pgqueue.schedule.jitter is 'Each job starts up to so much after its moment, by chance; null for at once.';
comment on column pgqueue.schedule.missed is 'How many of the moments that came while nobody was running are made up for: 0 none, 1 the last, n the last n.';
comment on column pgqueue.schedule.overlap is 'While the run before is not over: allow, skip or queue.';
comment on column pgqueue.schedule.source is 'code: declared by workers. operator: made by a call.';
comment on column pgqueue.schedule.declared is 'What the code last declared: a deploy that declares the same changes nothing. Null for an operator''s.';
comment on column pgqueue.schedule.revision is 'Grows with each change, so that nobody fires by a rule that has changed.';
comment on column pgqueue.schedule.created_at is 'When it was made.';
comment on column pgqueue.schedule.changed_at is 'When its time was last changed: its first moment comes after this one.';
comment on column pgqueue.schedule.next_run_at is 'Its next moment; null when none comes, or not worked out yet.';
comment on column pgqueue.schedule.watched_at is 'When its owner last saw that it waits for the run before; null while it does not.';
comment on column pgqueue.schedule.paused_at is 'When an operator paused it; null while it is not.';
comment on column pgqueue.schedule.ended_at is 'When its last moment had passed; null while there may be more.';
comment on column pgqueue.schedule.error is 'Why its moments cannot be worked out; it rests until it is changed or resumed. Null if they can.';
comment on column pgqueue.schedule.runs is 'Runs so far, without those asked for by hand.';
comment on column pgqueue.schedule.skipped is 'Moments passed over because the run before was not over.';
comment on column pgqueue.schedule.last_due_at is 'Moment of its last run.';
comment on column pgqueue.schedule.last_run_at is 'When its last job was enqueued.';
comment on column pgqueue.schedule.jobs is 'Its last job, and older ones that may still run; ids of pgqueue.jobs.';
comment on table pgqueue.schedule_run is 'Moments of schedules that were dealt with, for a day: none is dealt with twice.';
comment on column pgqueue.schedule_run.schedule is 'pgqueue.schedule.name.';
comment on column pgqueue.schedule_run.due_at is 'The moment.';
comment on column pgqueue.schedule_run.fired_at is 'When it was dealt with.';
comment on column pgqueue.schedule_run.job is 'Its job; null if it was skipped because the run before was not over.';
