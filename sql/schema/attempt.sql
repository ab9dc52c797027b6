-- One row per attempt that did not succeed, so that the story of a job survives its retries. A job that completes at
-- once costs nothing here.
create table pgqueue.attempt (
    job         bigint      not null,
    claims      integer     not null,
    attempt     smallint    not null,
    worker      bigint      not null,
    started_at  timestamptz not null,
    finished_at timestamptz not null,
    error       text        not null,
    traceback   text,
    fingerprint text        collate "C" not null,
    constraint attempt_pkey primary key (job, claims)
);

create index attempt_finished_at on pgqueue.attempt using brin (finished_at);

comment on table pgqueue.attempt is 'Attempts that failed, timed out or died with their worker, one row each.';
comment on column pgqueue.attempt.job is 'pgqueue.jobs.id.';
comment on column pgqueue.attempt.claims is 'The claim under which it ran: together with job, unique for ever.';
comment on column pgqueue.attempt.attempt is 'Which attempt it was, from 1; starts again after a retry by hand.';
comment on column pgqueue.attempt.worker is 'pgqueue.worker.id that ran it.';
comment on column pgqueue.attempt.started_at is 'When it was claimed.';
comment on column pgqueue.attempt.finished_at is 'When the failure was recorded.';
comment on column pgqueue.attempt.error is 'Type and message of the error, one line.';
comment on column pgqueue.attempt.traceback is 'Where it was raised; null when the worker could not tell (it died).';
comment on column pgqueue.attempt.fingerprint is 'The same for errors of one type from one place, whatever their message: to count them by.';
