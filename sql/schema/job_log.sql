-- Lines that handlers wrote with ctx.log(…). Insert-only until the job goes.
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
