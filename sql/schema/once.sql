-- What handlers did once: ctx.once. The primary key decides between two runs of one job.
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
