-- What a job can say beside what to run and when. Columns without a default: no table is rewritten.
alter table pgqueue.job
    add column expires_at    timestamptz,
    add column unique_key    text collate "C",
    add column meta          jsonb,
    add column cancel_reason text;

create index job_expiring on pgqueue.job (expires_at) where expires_at is not null;

comment on column pgqueue.job.expires_at is 'Not started after this moment: it ends as expired; null: never.';
comment on column pgqueue.job.unique_key is 'The key it was enqueued under, so that no second one is; null for none.';
comment on column pgqueue.job.meta is 'What else its handler is told, a JSON object: version of the arguments, schedule, due_at; null for nothing.';
comment on column pgqueue.job.cancel_reason is 'Set while a worker that runs the job is asked to stop it: ends as cancelled, not retried.';

alter table pgqueue.job_archive
    add column expires_at timestamptz,
    add column unique_key text collate "C",
    add column meta       jsonb;

comment on column pgqueue.job_archive.expires_at is 'As in pgqueue.job.';
comment on column pgqueue.job_archive.unique_key is 'As in pgqueue.job.';
comment on column pgqueue.job_archive.meta is 'As in pgqueue.job.';

-- They say more now, and a function cannot change what it returns. Not there yet in a new database.
do $$
begin
    if to_regprocedure('pgqueue.cancel(bigint, text)') is not null then
        drop function pgqueue.cancel(bigint, text);
    end if;
    if to_regprocedure('pgqueue.claim(bigint, text, integer, timestamptz[], bigint[])') is not null then
        drop function pgqueue.claim(bigint, text, integer, timestamptz[], bigint[]);
    end if;
end;
$$;

create type pgqueue.enqueued as (
    id      bigint,
    created boolean
);

comment on type pgqueue.enqueued is 'What became of a job that was enqueued.';
comment on column pgqueue.enqueued.id is 'Its number; that of the job which holds the key, if none was added.';
comment on column pgqueue.enqueued.created is 'false: no job was added, another one holds the key.';

create table pgqueue.unique_key (
    scope     text        collate "C" not null,
    key       text        collate "C" not null,
    job       bigint      not null,
    until     text        collate "C",
    free_at   timestamptz,
    waits_for bigint,
    run_at    timestamptz,
    constraint unique_key_held_once exclude using btree (
        scope with =, key with =,
        make_interval(
            months => (job % 67108864)::integer, days => (job / 67108864 - 30 * (job % 67108864))::integer,
            secs => (-86400 * (job / 67108864))::double precision
        ) with =
    )
);

create index unique_key_waiting on pgqueue.unique_key (waits_for) where waits_for is not null;

comment on table pgqueue.unique_key is 'Which job holds which key, for pgqueue.enqueue(…, unique_key => …). Rows whose job is done are forgotten later.';
comment on column pgqueue.unique_key.scope is 'Kind of the job, or the name given as unique_scope: the same key of another scope is another key.';
comment on column pgqueue.unique_key.key is 'The key, 1 to 1024 bytes.';
comment on column pgqueue.unique_key.job is 'pgqueue.jobs.id of the holder.';
comment on column pgqueue.unique_key.until is 'started: held while the job waits; finished: while it waits or runs; null: for the period only.';
comment on column pgqueue.unique_key.free_at is 'Held until this moment in any case; null: no period was given.';
comment on column pgqueue.unique_key.waits_for is 'The job in progress that the holder must not overtake; null for none.';
comment on column pgqueue.unique_key.run_at is 'When the holder may start once the job in progress is done; null unless it waits for one.';

alter table pgqueue.queue add column lifo boolean not null default false;

create index queue_lifo on pgqueue.queue (name) where lifo;

comment on column pgqueue.queue.lifo is 'Whether the newest ready job of a priority starts first; false: the oldest.';

create table pgqueue.once (
    job   bigint      not null,
    key   text        collate "C" not null,
    value jsonb,
    at    timestamptz not null default clock_timestamp(),
    constraint once_pkey primary key (job, key)
);

comment on table pgqueue.once is 'Steps that a job takes once over all its attempts. Gone when the job cannot run again.';
comment on column pgqueue.once.job is 'pgqueue.jobs.id.';
comment on column pgqueue.once.key is 'Name of the step, unique within its job.';
comment on column pgqueue.once.value is 'What the step gave, for later attempts; null for a step that was only noted.';
comment on column pgqueue.once.at is 'When it was recorded.';

alter table pgqueue.job_archive
    add column result_until timestamptz;

comment on column pgqueue.job_archive.result_until is 'The result is not shown after this moment; null: as long as the row is kept.';

-- Errors can be counted by what and where they are. Attempts of before get what their text tells: the type.
alter table pgqueue.attempt add column fingerprint text collate "C";
update pgqueue.attempt set fingerprint = left(md5(split_part(error, ':', 1)), 16);
alter table pgqueue.attempt alter column fingerprint set not null;

comment on column pgqueue.attempt.fingerprint is 'The same for errors of one type from one place, whatever their message: to count them by.';

-- What each worker can run. A default that is no expression: no table is rewritten.
alter table pgqueue.worker add column kinds jsonb not null default '{}';

comment on column pgqueue.worker.kinds is 'Kinds it has handlers for, each with the kind of its on_failed hook or null, {"charge": "charge:on_failed"}.';

create table pgqueue.postponed (
    job    bigint      not null,
    claims integer     not null,
    queue  text        collate "C" not null,
    kind   text        collate "C",
    reason text        not null,
    since  timestamptz not null,
    constraint postponed_pkey primary key (job)
);

create index postponed_kind on pgqueue.postponed (kind, queue) where kind is not null;

comment on table pgqueue.postponed is 'Why jobs wait that were started and did not fail: snoozed, or of a kind that no worker knew.';
comment on column pgqueue.postponed.job is 'pgqueue.jobs.id.';
comment on column pgqueue.postponed.claims is 'The claim under which it was postponed; at another one the row is history.';
comment on column pgqueue.postponed.queue is 'As in pgqueue.job.';
comment on column pgqueue.postponed.kind is 'The kind for which the worker had no handler; null for a job that was snoozed.';
comment on column pgqueue.postponed.reason is 'What its handler said, or what was missing.';
comment on column pgqueue.postponed.since is 'When it was snoozed; or when its kind was first found unknown.';

create table pgqueue.progress (
    job        bigint           not null,
    claims     integer          not null,
    fraction   double precision,
    message    text,
    updated_at timestamptz      not null default clock_timestamp(),
    constraint progress_pkey primary key (job)
) with (fillfactor = 50);

comment on table pgqueue.progress is 'How far jobs have come, by their own account; one row for each job that says so. Read the view pgqueue.jobs.';
comment on column pgqueue.progress.job is 'pgqueue.jobs.id.';
comment on column pgqueue.progress.claims is 'The claim under which it was said: an older one does not overwrite it.';
comment on column pgqueue.progress.fraction is 'From 0 to 1; null for a job that only writes lines.';
comment on column pgqueue.progress.message is 'What it is doing; null for nothing.';
comment on column pgqueue.progress.updated_at is 'When this was last reported.';

create table pgqueue.job_log (
    job     bigint      not null,
    claims  integer     not null,
    line    integer     not null,
    attempt smallint    not null,
    at      timestamptz not null,
    level   text        not null,
    text    text        not null,
    constraint job_log_pkey primary key (job, claims, line)
);

comment on table pgqueue.job_log is 'Lines that jobs wrote while they ran. Read the view pgqueue.job_logs.';
comment on column pgqueue.job_log.job is 'pgqueue.jobs.id.';
comment on column pgqueue.job_log.claims is 'The claim under which it was written: together with line it orders a job''s lines.';
comment on column pgqueue.job_log.line is 'Number of the line under that claim, from 1.';
comment on column pgqueue.job_log.attempt is 'Which attempt it was, from 1; starts again after a retry by hand.';
comment on column pgqueue.job_log.at is 'When it was written.';
comment on column pgqueue.job_log.level is 'debug, info, warning, error or critical.';
comment on column pgqueue.job_log.text is 'What was written.';
