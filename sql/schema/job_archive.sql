-- Finished jobs. Two halves, because they are kept for different times: completed, and ended otherwise. Each half is
-- partitioned by the day of finished_at, so retention drops a table instead of deleting rows. The worker makes the
-- days ahead (pgqueue.maintain); a row whose day nobody made lands in the half's default partition.
create table pgqueue.job_archive (
    id           bigint      not null,
    run_at       timestamptz not null,
    created_at   timestamptz not null,
    started_at   timestamptz,
    finished_at  timestamptz not null,
    worker       bigint,
    claims       integer     not null,
    priority     smallint    not null,
    attempt      smallint    not null,
    max_attempts smallint    not null,
    state        text        collate "C" not null,
    queue        text        collate "C" not null,
    kind         text        collate "C" not null,
    args         jsonb       not null,
    timeout      interval,
    result       jsonb,
    error        text,
    expires_at   timestamptz,
    unique_key   text        collate "C",
    meta         jsonb,
    result_until timestamptz
) partition by list (state);

create table pgqueue.job_archive_completed partition of pgqueue.job_archive
    for values in ('completed') partition by range (finished_at);
create table pgqueue.job_archive_completed_default partition of pgqueue.job_archive_completed default;

create table pgqueue.job_archive_ended partition of pgqueue.job_archive
    for values in ('failed', 'cancelled', 'expired') partition by range (finished_at);
create table pgqueue.job_archive_ended_default partition of pgqueue.job_archive_ended default;

create index job_archive_id on pgqueue.job_archive (id);

comment on table pgqueue.job_archive is 'Finished jobs, by outcome and day. Insert-only; retention drops whole days. Read the view pgqueue.jobs.';
comment on column pgqueue.job_archive.id is 'As in pgqueue.job.';
comment on column pgqueue.job_archive.run_at is 'As in pgqueue.job.';
comment on column pgqueue.job_archive.created_at is 'As in pgqueue.job.';
comment on column pgqueue.job_archive.started_at is 'When the last attempt was claimed; null if the job never started.';
comment on column pgqueue.job_archive.finished_at is 'When the outcome was recorded.';
comment on column pgqueue.job_archive.worker is 'pgqueue.worker.id of the last attempt; null if the job never started.';
comment on column pgqueue.job_archive.claims is 'As in pgqueue.job; goes on from here if the job is retried.';
comment on column pgqueue.job_archive.priority is 'As in pgqueue.job.';
comment on column pgqueue.job_archive.attempt is 'Attempts that were started.';
comment on column pgqueue.job_archive.max_attempts is 'As in pgqueue.job.';
comment on column pgqueue.job_archive.state is 'completed, failed (a dead letter), cancelled or expired.';
comment on column pgqueue.job_archive.queue is 'As in pgqueue.job.';
comment on column pgqueue.job_archive.kind is 'As in pgqueue.job.';
comment on column pgqueue.job_archive.args is 'As in pgqueue.job.';
comment on column pgqueue.job_archive.timeout is 'As in pgqueue.job.';
comment on column pgqueue.job_archive.result is 'What the handler returned; null for nothing.';
comment on column pgqueue.job_archive.error is 'Why it did not complete: the last error, or the reason for a cancel.';
comment on column pgqueue.job_archive.expires_at is 'As in pgqueue.job.';
comment on column pgqueue.job_archive.unique_key is 'As in pgqueue.job.';
comment on column pgqueue.job_archive.meta is 'As in pgqueue.job.';
comment on column pgqueue.job_archive.result_until is 'The result is not shown after this moment; null: as long as the row is kept.';
comment on table pgqueue.job_archive_completed is 'The half of job_archive with completed jobs.';
comment on table pgqueue.job_archive_completed_default is 'Completed jobs of days without a partition of their own.';
comment on table pgqueue.job_archive_ended is 'The half of job_archive with failed, cancelled and expired jobs.';
comment on table pgqueue.job_archive_ended_default is 'Failed, cancelled and expired jobs of days without a partition of their own.';
