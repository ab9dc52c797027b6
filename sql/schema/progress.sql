-- How far a job has come, by its own account. Beside pgqueue.job, so that a report never touches the row that claims and
-- outcomes need; one row for each job that reports at all, rewritten in place: no column that changes is indexed.
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
